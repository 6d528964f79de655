"""How many sparse tasks each allocation makes, and how many padding leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from codesign.answers.words import shape_order
from codesign.plot.look import BLUE, ORANGE, SKY, Drawing, at_end, panel

COLOURS = {"uniform": BLUE, "row-balanced": SKY, "global": ORANGE}


def task_counts(rows: Sequence[Mapping[str, Any]]) -> Drawing:
    """Draw one panel a model: for each block shape, a mark an allocation, and an open one after padding.

    Parameters
    ----------
    rows
        From `codesign.study.identified.rows`.
    """
    models = list(dict.fromkeys(row["model"] for row in rows))
    if not models:
        return Drawing([], "No tasks have been counted.")
    panels = [_panel(model, [row for row in rows if row["model"] == model]) for model in models]
    alt = "Sparse tasks, as they are and padded: " + "; ".join(
        f"{row['model']} {row['block']} {row['allocation']}: {row['sparse']}, {row['padded']}" for row in rows
    )
    caption = (
        "Distinct sparse tasks of an encoder. Full marks: as pruned. Open marks: after the blocks that are stored were "
        "padded to the next bucket."
    )
    return Drawing(panels, f"{alt}.", caption)


def _panel(model: str, rows: Sequence[Mapping[str, Any]]) -> Figure:
    blocks = sorted({row["block"] for row in rows}, key=shape_order)
    allocations = list(dict.fromkeys(row["allocation"] for row in rows))
    with panel(width=4.6, height=0.9 + 0.36 * len(blocks)) as (figure, axes):
        for row in rows:
            shift = 0.22 * (allocations.index(row["allocation"]) - (len(allocations) - 1) / 2)
            place, colour = blocks.index(row["block"]) + shift, COLOURS[row["allocation"]]
            axes.plot([row["padded"], row["sparse"]], [place, place], color=colour, linewidth=1)
            axes.plot(row["sparse"], place, "o", color=colour, markersize=5)
            axes.plot(row["padded"], place, "o", markerfacecolor="none", markeredgecolor=colour, markersize=7)
            if row["block"] == blocks[0]:
                at_end(axes, row["allocation"], row["sparse"], place, color=colour)
        axes.set_yticks(range(len(blocks)), blocks)
        axes.invert_yaxis()
        axes.set_xlim(0, max(row["sparse"] for row in rows) * 1.45)
        axes.set_xlabel("distinct sparse tasks")
        axes.set_title(f"{model}, {rows[0]['weights']} weights")
    return figure
