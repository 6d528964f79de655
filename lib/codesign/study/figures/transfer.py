"""What the best schedule of one block shape costs another: a heat map."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.patches import Rectangle

from codesign.study.figures.drawing import INK, ON_ORANGE, ORANGE, PAPER, Drawing, panel
from codesign.study.words import TIMES, shape_order

#: Factor from which on the colour is full.
_FULL = 2.0


def transfer(losses: Mapping[tuple[str, str], float], title: str) -> Drawing:
    """Draw the time with a borrowed schedule over that with the shape's own best; a row lends, a column borrows.

    Parameters
    ----------
    losses
        From `codesign.study.kernel_views.transfer`.
    title
        Matrix and load.
    """
    if not losses:
        return Drawing([], "No schedules were compared.")
    blocks = sorted({block for pair in losses for block in pair}, key=shape_order)
    count = len(blocks)
    with panel(width=1.6 + 0.42 * count, height=1.2 + 0.36 * count) as (figure, axes):
        for (lender, borrower), factor in losses.items():
            x, y = blocks.index(borrower), blocks.index(lender)
            depth = float(np.clip((factor - 1) / (_FULL - 1), 0, 1))
            axes.add_patch(_tile(x, y, depth))
            colour = ON_ORANGE if depth > 0.45 else INK
            axes.text(x, y, f"{factor:.2f}", ha="center", va="center", fontsize=8, color=colour)
        axes.set_xlim(-0.5, count - 0.5)
        axes.set_ylim(count - 0.5, -0.5)
        axes.set_xticks(range(count), blocks, rotation=45)
        axes.set_yticks(range(count), blocks)
        axes.set_xlabel("block shape that borrows the schedule")
        axes.set_ylabel("block shape it is best for")
        axes.set_title(title)
    worst = sorted(losses.items(), key=lambda item: -item[1])[:3]
    listed = "; ".join(f"that of {a} applied to {b} takes {factor:.2f}{TIMES}" for (a, b), factor in worst)
    return Drawing(
        [figure],
        f"Best schedules lent between block shapes, {title}: {listed}.",
        "Time with the schedule that is best for the shape on the left, over the time with the column's own best one. "
        "The deeper the orange, the more is lost; an empty cell is a schedule that the shape cannot take.",
    )


def _tile(x: int, y: int, depth: float) -> Rectangle:
    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=ORANGE, alpha=depth, edgecolor=PAPER, linewidth=1)
