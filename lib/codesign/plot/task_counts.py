"""How many sparse tasks each allocation makes, and how many padding leaves."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from codesign.plot.charts import facets, spoken
from codesign.plot.look import BLUE, ORANGE, SKY, Drawing, at_end, panel

COLOURS = {"uniform": BLUE, "row-balanced": SKY, "global": ORANGE}


def task_counts(counted: pd.DataFrame) -> Drawing:
    """Draw one panel a model: for each block shape, a mark an allocation, and an open one after padding.

    Parameters
    ----------
    counted
        From `codesign.answers.tasks.counted`.
    """
    if not len(counted):
        return Drawing([], "No tasks have been counted.")
    alt = spoken(counted, "{model} {block} {allocation}: {sparse}, {padded}")
    caption = (
        "Distinct sparse tasks of an encoder. Full marks: as pruned. Open marks: after the blocks that are stored were "
        "padded to the next bucket."
    )
    return Drawing(facets(counted, "model", _panel), f"Sparse tasks, as they are and padded: {alt}.", caption)


def _panel(model: str, rows: pd.DataFrame) -> Figure:
    blocks, allocations = list(rows["block"].unique()), list(rows["allocation"].unique())
    with panel(width=4.6, height=0.9 + 0.36 * len(blocks)) as (figure, axes):
        for _, row in rows.iterrows():
            shift = 0.22 * (allocations.index(row["allocation"]) - (len(allocations) - 1) / 2)
            place, colour = blocks.index(row["block"]) + shift, COLOURS[row["allocation"]]
            axes.plot([row["padded"], row["sparse"]], [place, place], color=colour, linewidth=1)
            axes.plot(row["sparse"], place, "o", color=colour, markersize=5)
            axes.plot(row["padded"], place, "o", markerfacecolor="none", markeredgecolor=colour, markersize=7)
            if row["block"] == blocks[0]:
                at_end(axes, row["allocation"], row["sparse"], place, color=colour)
        axes.set_yticks(range(len(blocks)), blocks)
        axes.invert_yaxis()
        axes.set_xlim(0, rows["sparse"].max() * 1.45)
        axes.set_xlabel("distinct sparse tasks")
        axes.set_title(f"{model}, {rows['weights'].iloc[0]} weights")
    return figure
