"""Assembly as a page shows it: each line with what it does in the margin, multiply-adds on a coloured ground."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from IPython.display import HTML
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import GasLexer

from codesign.study.assembly import BROADCAST, FMA, INDEX, LABEL, LOAD, OTHER, SPILL, STORE, instructions

#: What stands in the margin: colour alone would not reach everybody.
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


def assembly(lines: Sequence[str], family: str = "token_tile") -> HTML:
    """Show a loop; it scrolls inside its own box, and a screen reader hears the margin before each line."""
    margin = BY_ROWS if family == "row_tile" else MARGIN
    coloured = highlight("\n".join(lines), GasLexer(), HtmlFormatter(nowrap=True)).splitlines()
    roles = iter(instructions(lines))
    rows = []
    for line, text in zip(lines, coloured, strict=True):
        role, said = OTHER, ""
        if not LABEL.fullmatch(line):
            found = next(roles)
            role, said = found.role, margin[found.role]
            if found.is_fma and found.reads_memory:
                said += f", {margin[LOAD]}"
        rows.append(f'<span class="line {role}"><span class="role">{escape(said)}</span>{text}</span>')
    body = "\n".join(rows)
    label = "Assembly of the inner loop"
    box = f'<div class="assembly highlight" tabindex="0" role="region" aria-label="{label}"><pre>{body}</pre></div>'
    return HTML(box)  # type: ignore[no-untyped-call]  # IPython has no types
