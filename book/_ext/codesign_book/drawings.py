"""The directive ``drawing``: a figure of `codesign.plot`, drawn from records while the book is built."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from codesign import plot as figures
from codesign.answers.accuracy import judged
from codesign.answers.crossover import by_sparsity, centre_of
from codesign.answers.machines import labels, relative_times
from codesign.answers.tradeoff import timings
from codesign.errors import MissingRecord
from codesign_book.shown import shown

KINDS = {
    "crossover": "latency",
    "latency_bars": "latency",
    "machines": "latency",
    "pareto": "accuracy",
    "retained_norm": "pattern",
    "task_map": "task",
    "tuning_curves": "tuning",
}


class DrawingDirective(SphinxDirective):
    """Draw one figure from the records of its kind."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the figure; a strict build fails where there are no records to draw."""
        name = self.arguments[0]
        if name == "protocol":
            return [nodes.raw("", figures.protocol()._repr_html_(), format="html")]
        if name not in KINDS:
            raise self.error(f"drawing: {name!r} is unknown; expected one of {', '.join(KINDS)}, protocol")
        try:
            drawing = _draw(name)
        except MissingRecord as error:
            drawing = figures.Drawing([], f"{error}.")
        if not drawing.panels:
            if shown().strict:
                raise self.error(f"drawing: no {KINDS[name]!r} record for {name}")
            return [nodes.paragraph("", drawing.alt)]
        return [nodes.raw("", drawing._repr_html_(), format="html")]


def _draw(name: str) -> figures.Drawing:
    """Draw one of `KINDS` from the records that are shown."""
    frames = shown().frames
    match name:
        case "machines":
            found = frames.machines
            return figures.machines(dict(zip(labels(found), map(relative_times, found), strict=True)))
        case "latency_bars":
            return figures.latency_bars(frames.at("latency"))
        case "crossover":
            return figures.crossover(by_sparsity(frames.all("latency"), centre_of(frames)))
        case "pareto":
            return figures.pareto(judged(frames), timings(frames))
    drawn: figures.Drawing = getattr(figures, name)(frames.at(KINDS[name]))
    return drawn


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("drawing", DrawingDirective)
