"""Assembly as a page shows it: each line with what it does in the margin, multiply-adds on a coloured ground."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from IPython.display import HTML

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
