"""The directive ``explorer``: every timing in one table. A script sorts and filters it; without one it is a table."""

from __future__ import annotations

from html import escape

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from codesign.study.claims import NOT_MEASURED
from codesign.study.evidence import missing
from codesign.study.explored import COLUMNS, NOTHING, Cell, rows
from codesign_book.shown import shown


class Explorer(SphinxDirective):
    """All latency records of the machine that is shown."""

    def run(self) -> list[nodes.Node]:
        """Return the table; a strict build fails where there is no record at all."""
        found = rows(shown().evidence.read("latency"))
        if not found and shown().strict:
            raise self.error(str(missing("latency")))
        if not found:
            return [nodes.paragraph("", f"Latencies: {NOT_MEASURED}.")]
        return [nodes.raw("", markup(found), format="html")]


def markup(found: list[list[Cell]]) -> str:
    """Return the table as HTML; ``data-order`` is what a column is sorted by, ``data-filter`` marks a menu."""
    heads = "".join(
        f'<th scope="col"{" data-filter" if chosen else ""}>{escape(name)}</th>' for name, chosen in COLUMNS.items()
    )
    body = "\n".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in found)
    return (
        '<div class="explorer"><div class="explorer-box" role="region" aria-label="All timings" tabindex="0">'
        f'<table class="table from-records"><thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div></div>"
    )


def _cell(cell: Cell) -> str:
    number = ' class="number"' if isinstance(cell.order, float) or cell is NOTHING else ""
    return f'<td data-order="{escape(str(cell.order))}"{number}>{escape(cell.text)}</td>'


def setup(app: Sphinx) -> None:
    """Register the directive; Jupyter Book puts the script, as all of `_static`, on every page."""
    app.add_directive("explorer", Explorer)
