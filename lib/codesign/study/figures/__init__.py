"""Figures: each function takes records and returns a `Drawing`, which shows itself in a notebook and in the book.

Last line of a notebook cell: ``latency_bars(records)`` (or ``show(...)`` in the middle of one).
"""

from IPython.display import HTML, display

from codesign.study.figures.crossover import crossover
from codesign.study.figures.drawing import Drawing
from codesign.study.figures.family_map import family_map
from codesign.study.figures.inner_loops import inner_loops
from codesign.study.figures.kernel_shares import kernel_shares
from codesign.study.figures.ladder import ladder
from codesign.study.figures.latency_bars import latency_bars
from codesign.study.figures.layer_matrix import layer_arrays, layer_matrix
from codesign.study.figures.layouts import layouts
from codesign.study.figures.loads import loads
from codesign.study.figures.machines import machines
from codesign.study.figures.masks import masks
from codesign.study.figures.operator_profile import operator_profile
from codesign.study.figures.pareto import pareto
from codesign.study.figures.patterns import patterns
from codesign.study.figures.predictions import predictions
from codesign.study.figures.protocol import protocol
from codesign.study.figures.retained_norm import retained_norm
from codesign.study.figures.task_counts import task_counts
from codesign.study.figures.task_map import task_map
from codesign.study.figures.tuning_curves import tuning_curves
from codesign.study.figures.vectors import vectors
from codesign.study.figures.ways import ways
from codesign.study.figures.your_shape import your_shape

__all__ = [
    "Drawing",
    "crossover",
    "family_map",
    "inner_loops",
    "kernel_shares",
    "ladder",
    "latency_bars",
    "layer_arrays",
    "layer_matrix",
    "layouts",
    "loads",
    "machines",
    "masks",
    "operator_profile",
    "pareto",
    "patterns",
    "predictions",
    "protocol",
    "retained_norm",
    "show",
    "task_counts",
    "task_map",
    "tuning_curves",
    "vectors",
    "ways",
    "your_shape",
]


def show(drawing: Drawing) -> None:
    """Display a drawing from inside a notebook cell."""
    display(HTML(drawing._repr_html_()))  # type: ignore[no-untyped-call]
