"""What notebooks show beside figures: small tables, TensorIR and assembly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd
from IPython.display import HTML, Markdown

from codesign.study.assembly import BROADCAST, FMA, INDEX, LABEL, LOAD, OTHER, SPILL, STORE, instructions

#: What stands in the margin of an instruction: colour alone would not reach everybody.
MARGIN = {
    FMA: "multiply-add",
    BROADCAST: "weight",
    LOAD: "activations",
    INDEX: "index",
    STORE: "store",
    SPILL: "spill",
    OTHER: "",
}
#: In a family that vectorises over rows, weights are the vectors and activations the broadcast values.
BY_ROWS = MARGIN | {BROADCAST: MARGIN[LOAD], LOAD: MARGIN[BROADCAST]}


def markdown(text: str) -> Markdown:
    """Show text as Markdown."""
    return Markdown(text)  # type: ignore[no-untyped-call]  # IPython has no types


def table(rows: pd.DataFrame | Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> HTML:
    """Lay out rows as a table, the same in JupyterLab and in the book; nothing where there are none.

    Parameters
    ----------
    rows
        A frame, or records.
    columns
        Heading -> format string over the columns of a row, as in ``{"kept": "{retained_l2:.0%}"}``.
    """
    records = rows.to_dict("records") if isinstance(rows, pd.DataFrame) else rows
    head = _row("th", columns)
    body = "".join(_row("td", (cell.format(**record) for cell in columns.values())) for record in records)
    # the class is the book theme's; the wrapper keeps a wide table from widening a narrow page
    whole = f'<table class="table"><thead>{head}</thead><tbody>{body}</tbody></table>'
    return HTML(f'<div style="overflow-x: auto">{whole}</div>' if body else "")  # type: ignore[no-untyped-call]


def _row(tag: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def listing(script: str) -> Markdown:
    """Show TensorIR, without the import lines."""
    code = "\n".join(line for line in script.splitlines() if not line.startswith("#")).strip()
    return markdown(f"```python\n{code}\n```")


def assembly(lines: Sequence[str], family: str = "token_tile") -> HTML:
    """Show a loop; it scrolls inside its own box, and a screen reader hears the margin before each line."""
    margin = BY_ROWS if family == "row_tile" else MARGIN
    roles = iter(instructions(lines))
    rows = []
    for line in lines:
        role, said = OTHER, ""
        if not LABEL.fullmatch(line):
            found = next(roles)
            role, said = found.role, margin[found.role]
            if found.is_fma and found.reads_memory:
                said += f", {margin[LOAD]}"
        rows.append(f'<span class="line {role}"><span class="role">{escape(said)} </span>{_coloured(line)}</span>')
    body = "\n".join(rows)
    label = "Assembly of the inner loop"
    box = f'<div class="assembly highlight" tabindex="0" role="region" aria-label="{label}"><pre>{body}</pre></div>'
    return HTML(box)  # type: ignore[no-untyped-call]  # IPython has no types


def _coloured(line: str) -> str:
    """Wrap the names of an instruction and of its registers in the classes that the page has colours for."""
    line = re.sub(r"^[a-z]\w*", r'<span class="nf">\g<0></span>', escape(line))
    return re.sub(r"%\w+", r'<span class="nv">\g<0></span>', line)
