"""How engines take turns in a session, and what a naive protocol makes of two of them."""

from __future__ import annotations

import pandas as pd

from codesign.answers.numbers import distortions
from codesign.plot.charts import bars, spoken
from codesign.plot.look import BLUE, INK, ORANGE, SKY, Drawing, panel

ENGINES = (("engine A", BLUE), ("engine B", ORANGE), ("A again (control)", SKY))
DISCARDED, TIMED, ROUNDS = 3, 6, 2  # of the drawing, not of a profile
#: Each way of taking turns in words.
WAY_LABELS = {"naive": "one call each in turn", "turns": "our turns"}


def protocol() -> Drawing:
    """Draw two rounds of a session: hollow calls are thrown away, filled ones are kept."""
    with panel(width=7.0, height=1.75) as (figure, axes):
        x = 0.0
        for turn in range(ROUNDS):
            start = x
            for row, (_, colour) in enumerate(ENGINES):
                for call in range(DISCARDED + TIMED):
                    face = colour if call >= DISCARDED else "none"
                    axes.barh(row, 0.8, left=x, height=0.62, facecolor=face, edgecolor=colour, linewidth=1)
                    x += 1
                x += 0.6
            axes.annotate(f"round {turn + 1}", ((start + x) / 2, -0.75), ha="center", va="center")
            if turn < ROUNDS - 1:
                axes.axvline(x, color=INK, linewidth=0.6, linestyle=":")
            x += 0.8
        axes.set_yticks(range(len(ENGINES)), [name for name, _ in ENGINES])
        axes.set(xticks=[], ylim=(len(ENGINES) - 0.4, -1.1), xlabel="time")
        for spine in axes.spines.values():
            spine.set_visible(False)
    alt = (
        "Timeline of two rounds. In each, three contenders take turns: engine A, engine B, and engine A once more as a "
        "control. A turn starts with three calls that are thrown away, followed by the timed calls."
    )
    return Drawing(
        [figure], alt, "Hollow calls are thrown away: they only let the other engine's threads come to rest."
    )


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
