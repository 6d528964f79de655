"""What a block shape costs before any timing: how much of the weights' norm survives pruning."""

from __future__ import annotations

from collections.abc import Iterable

from codesign.answers.words import shape_order
from codesign.plot.look import BLUE, INK, SKY, Drawing, at_end, panel
from codesign.schema import Record


def retained_norm(records: Iterable[Record], scope: str = "attention") -> Drawing:
    """Draw, for one scope, the share of the weights' L2 norm that each block shape keeps.

    Parameters
    ----------
    records
        Pattern records; the newest of each shape counts.
    scope
        Which weights were pruned.
    """
    kept = {r["block"]: r["retained_l2"] for r in records if r["scope"] == scope and r["block"] != "dense"}
    shapes = sorted(kept, key=lambda block: -kept[block])
    with panel(width=5.6, height=0.6 + 0.24 * max(len(shapes), 1)) as (figure, axes):
        axes.barh(range(len(shapes)), [kept[s] for s in shapes], height=0.7, color=[BLUE] + [SKY] * (len(shapes) - 1))
        for place, shape in enumerate(shapes):
            at_end(axes, f"{kept[shape]:.0%}", kept[shape], place)
        axes.axvline(1, color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
        axes.set_yticks(range(len(shapes)), shapes)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.08)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("share of the weights' L2 norm that is kept (more is better)")
    listing = ", ".join(f"{s} {kept[s]:.0%}" for s in sorted(shapes, key=shape_order))
    alt = f"Norm kept after pruning, by block shape: {listing}."
    caption = "The finer the block, the freer the choice of weights, and the more of their norm survives."
    return Drawing([figure] if shapes else [], alt, caption)
