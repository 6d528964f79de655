"""The directive ``explorer``: every timing in one table. A script sorts and filters it; without one it is a table."""

from __future__ import annotations

from html import escape

import pandas as pd
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from codesign.answers.timings import timings
from codesign.answers.words import shape_order
from codesign_book.shown import shown
from codesign_book.tables import nothing

#: Head of a column -> the column of `timings` that is shown, the one that it is sorted by, and whether there is a menu.
COLUMNS = {
    "engine": ("label", "label", True),
    "scope": ("stored_scope", "stored_scope", True),
    "block": ("stored_block", "order", True),
    "sparsity": ("stored_sparsity", "sparsity", True),
    "median, ms": ("time", "median_ms", False),
    "95% interval, ms": ("interval", "low_ms", False),
    "over our dense": ("over_dense", "gain", False),
    "model": ("model", "model", True),
    "batch": ("batch", "batch", False),
    "tokens": ("seq", "seq", False),
    "threads": ("threads", "threads", False),
    "type": ("computes_in", "computes_in", False),
    "largest error": ("largest_error", "max_abs_err", False),
    "session": ("session", "started_at", False),
    "remark": ("remark", "remark", False),
}


class Explorer(SphinxDirective):
    """All latency records of the machine that is shown."""

    def run(self) -> list[nodes.Node]:
        """Return the table; a strict build fails where there is no record at all."""
        found = shown().frames.all("latency")
        if not len(found):
            return nothing(self, "Latencies", "latency")
        return [nodes.raw("", markup(found), format="html")]


def markup(latencies: pd.DataFrame) -> str:
    """Return the table as HTML; ``data-order`` is what a column is sorted by, ``data-filter`` marks a menu."""
    rows = timings(latencies)
    shapes = sorted(rows["stored_block"].unique(), key=shape_order)
    dense = rows["stored_block"] == "dense"
    sparsity = rows["sparsity"].map("{:.0%}".format).mask(dense, "-")
    rows = rows.assign(
        order=rows["stored_block"].map(shapes.index),
        sparsity=rows["sparsity"].mask(dense),
        stored_sparsity=sparsity,
        time=rows["median"].str.removesuffix(" ms").where(rows["median_ms"].notna(), "-"),
        session=rows["started_at"].str[:10] + " " + rows["session_id"].str.rpartition("-")[2],
    )
    heads = "".join(
        f'<th scope="col"{" data-filter" if menu else ""}>{escape(name)}</th>' for name, (*_, menu) in COLUMNS.items()
    )
    body = "\n".join(
        f"<tr>{''.join(_cell(row[text], row[order]) for text, order, _ in COLUMNS.values())}</tr>"
        for row in rows.to_dict("records")
    )
    return (
        '<div class="explorer"><div class="explorer-box" role="region" aria-label="All timings" tabindex="0">'
        f'<table class="table from-records"><thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div></div>"
    )


def _cell(text: object, order: object) -> str:
    """Return a cell; one without a value is sorted last, whichever way."""
    number = ' class="number"' if not isinstance(order, str) else ""
    known = "" if isinstance(order, float) and order != order else str(order)
    return f'<td data-order="{escape(known)}"{number}>{escape(str(text))}</td>'


def setup(app: Sphinx) -> None:
    """Register the directive; Jupyter Book puts the script, as all of `_static`, on every page."""
    app.add_directive("explorer", Explorer)
