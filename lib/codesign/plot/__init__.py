"""Figures: each function takes records and returns a `Drawing`, which shows itself in a notebook and in the book.

Last line of a notebook cell: ``latency_bars(records)`` (or ``show(...)`` in the middle of one).
"""

from IPython.display import HTML, display

from codesign.plot.builds import formats, layouts, vectors
from codesign.plot.crossover import crossover, loads
from codesign.plot.kernels import family_map, kernel_shares, patterns, predictions
from codesign.plot.latency import latency_bars, machines, your_shape
from codesign.plot.layer import inner_loops, layer_arrays, layer_matrix
from codesign.plot.ledger import ladder, operator_profile
from codesign.plot.look import Drawing
from codesign.plot.pareto import pareto
from codesign.plot.protocol import protocol, ways
from codesign.plot.pruning import masks, retained_norm
from codesign.plot.tasks import task_counts, task_map, tuning_curves

__all__ = [
    "Drawing", "crossover", "family_map", "formats", "inner_loops", "kernel_shares", "ladder", "latency_bars",
    "layer_arrays", "layer_matrix", "layouts", "loads", "machines", "masks", "operator_profile", "pareto", "patterns",
    "predictions", "protocol", "retained_norm", "show", "task_counts", "task_map", "tuning_curves", "vectors", "ways",
    "your_shape",
]  # fmt: skip


def show(drawing: Drawing) -> None:
    """Display a drawing from inside a notebook cell."""
    display(HTML(drawing._repr_html_()))  # type: ignore[no-untyped-call]
