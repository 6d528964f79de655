"""What a naive timing protocol makes of two engines, beside ours and the truth."""

from __future__ import annotations

import pandas as pd

from codesign.answers.turns import distortions
from codesign.plot.charts import bars, spoken
from codesign.plot.look import BLUE, INK, ORANGE, Drawing

#: Each way in words.
WAY_LABELS = {"naive": "one call each in turn", "turns": "our turns"}


def ways(timed: pd.DataFrame) -> Drawing:
    """Draw, for each engine of a comparison, its time in each way of taking turns, in units of its time alone.

    Parameters
    ----------
    timed
        The `protocol` records of one comparison, from `codesign.answers.frames.frame`.
    """
    if not len(timed):
        return Drawing([], "No protocols have been compared.")
    rows = distortions(timed)
    rows = rows[rows["way"] != "alone"]
    rows = rows.assign(
        label=rows["label"] + ", " + rows["way"].map(WAY_LABELS),
        value=rows["of_alone"],
        text=rows["of_alone"].map("{:.2f}".format),
        kind=rows["way"],
    )
    label = "median time, in units of the time alone (one is the truth)"
    limit = 1.15 * rows["value"].max()
    colours = {"turns": BLUE, "naive": ORANGE}
    figure, axes = bars(rows, title="", xlabel=label, limit=limit, width=5.6, colours=colours)
    axes.axvline(1, color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
    alt = f"Median time in units of the time alone: {spoken(rows, '{label}: {text}')}."
    caption = "Orange: engines called once each in turn. Blue: turns that start with calls thrown away."
    return Drawing([figure], alt, caption)
