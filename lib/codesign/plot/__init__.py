"""Figures: each function takes records and returns a `Drawing`, which shows itself in a notebook and in the book.

Last line of a notebook cell: ``latency_bars(records)`` (or ``show(...)`` in the middle of one).
"""

from IPython.display import HTML, display

from codesign.plot.crossover import crossover, loads
from codesign.plot.kernels import family_map, kernel_shares, predictions
from codesign.plot.ladder import ladder
from codesign.plot.latency_bars import latency_bars
from codesign.plot.layer import inner_loops, layer_arrays, layer_matrix
from codesign.plot.layouts import layouts
from codesign.plot.look import Drawing
from codesign.plot.machines import machines
from codesign.plot.masks import masks
from codesign.plot.operator_profile import operator_profile
from codesign.plot.pareto import pareto
from codesign.plot.patterns import patterns
from codesign.plot.protocol import protocol
from codesign.plot.retained_norm import retained_norm
from codesign.plot.task_counts import task_counts
from codesign.plot.task_map import task_map
from codesign.plot.tuning_curves import tuning_curves
from codesign.plot.vectors import vectors
from codesign.plot.ways import ways
from codesign.plot.your_shape import your_shape

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
