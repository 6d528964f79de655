"""Small tables of records for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from IPython.display import Markdown


def markdown(text: str) -> Markdown:
    """Show text as Markdown."""
    return Markdown(text)  # type: ignore[no-untyped-call]  # IPython has no types


def table(records: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> Markdown:
    """Lay out records as a table that JupyterLab and the book render.

    Parameters
    ----------
    records
        One row each.
    columns
        Heading -> format string over the fields of a record, as in ``{"kept": "{retained_l2:.0%}"}``.
    """
    rows = [list(columns), ["---"] * len(columns)]
    rows += [[cell.format(**record) for cell in columns.values()] for record in records]
    return markdown("\n".join(f"| {' | '.join(row)} |" for row in rows))


def listing(script: str) -> Markdown:
    """Show TensorIR, without the import lines."""
    code = "\n".join(line for line in script.splitlines() if not line.startswith("#")).strip()
    return markdown(f"```python\n{code}\n```")
