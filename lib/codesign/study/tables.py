"""What notebooks show beside figures: small tables of records, and code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from IPython.display import HTML, Markdown


def markdown(text: str) -> Markdown:
    """Show text as Markdown."""
    return Markdown(text)  # type: ignore[no-untyped-call]  # IPython has no types


def table(records: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> HTML:
    """Lay out records as a table, the same in JupyterLab and in the book; nothing where there are none.

    Parameters
    ----------
    records
        One row each.
    columns
        Heading -> format string over the fields of a record, as in ``{"kept": "{retained_l2:.0%}"}``.
    """
    head = _row("th", columns)
    rows = [_row("td", (cell.format(**record) for cell in columns.values())) for record in records]
    # the class is the book theme's; the wrapper keeps a wide table from widening a narrow page
    body = f'<table class="table"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table>'
    return HTML(f'<div style="overflow-x: auto">{body}</div>' if rows else "")  # type: ignore[no-untyped-call]


def _row(tag: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def listing(script: str) -> Markdown:
    """Show TensorIR, without the import lines."""
    code = "\n".join(line for line in script.splitlines() if not line.startswith("#")).strip()
    return markdown(f"```python\n{code}\n```")
