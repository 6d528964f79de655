"""The directive ``drawing``: a figure of `codesign.plot`, drawn from records while the book is built."""

from __future__ import annotations

from collections.abc import Callable

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from codesign import plot as figures
from codesign.answers.accuracy import judged
from codesign.answers.crossover import by_sparsity, centre_of
from codesign.answers.frames import Frames
from codesign.answers.machines import labels, relative_times
from codesign.answers.tradeoff import timings
from codesign.errors import MissingRecord
from codesign_book.shown import shown

#: Figures by name, each drawn from the records that are shown.
FIGURES: dict[str, Callable[[Frames], figures.Drawing]] = {
    "crossover": lambda frames: figures.crossover(by_sparsity(frames.all("latency"), centre_of(frames))),
    "latency_bars": lambda frames: figures.latency_bars(frames.at("latency")),
    "machines": lambda frames: figures.machines(
        dict(zip(labels(frames.machines), map(relative_times, frames.machines), strict=True))
    ),
    "pareto": lambda frames: figures.pareto(judged(frames), timings(frames)),
    "protocol": lambda frames: figures.protocol(),
    "retained_norm": lambda frames: figures.retained_norm(frames.at("pattern")),
    "task_map": lambda frames: figures.task_map(frames.at("task")),
    "tuning_curves": lambda frames: figures.tuning_curves(frames.at("tuning")),
}


class DrawingDirective(SphinxDirective):
    """Draw one figure."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the figure; a strict build fails where there are no records to draw."""
        name = self.arguments[0]
        if name not in FIGURES:
            raise self.error(f"drawing: {name!r} is unknown; expected one of {', '.join(FIGURES)}")
        try:
            drawing = FIGURES[name](shown().frames)
        except MissingRecord as error:
            drawing = figures.Drawing([], f"{error}.")
        if drawing.panels:
            return [nodes.raw("", drawing._repr_html_(), format="html")]
        if shown().strict:
            raise self.error(f"drawing: no record for {name}")
        return [nodes.paragraph("", drawing.alt)]


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("drawing", DrawingDirective)
