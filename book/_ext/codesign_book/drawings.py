"""The directive ``drawing``: a figure of `codesign.study.figures`, drawn from records while the book is built."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from codesign.study import figures
from codesign.study.described import relative_times
from codesign_book.shown import shown

KINDS = {
    "latency_bars": "latency",
    "machines": "latency",
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
        if name == "machines":
            drawing = figures.machines({each.label: relative_times(each.evidence, "all") for each in shown().machines})
        else:
            drawing = getattr(figures, name)(shown().evidence.records(KINDS[name]))
        if not drawing.panels:
            if shown().strict:
                raise self.error(f"drawing: no {KINDS[name]!r} record for {name}")
            return [nodes.paragraph("", drawing.alt)]
        return [nodes.raw("", drawing._repr_html_(), format="html")]


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("drawing", DrawingDirective)
