"""What patterns inside blocks, and the places of blocks, do to one kernel: ratios beside the A/A control."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from codesign.plot.charts import facets, spans, spoken
from codesign.plot.look import BLUE, INK, ORANGE, SKY, Drawing, panel

#: The ratios that the claim about patterns inside blocks allows.
ALLOWED = (0.98, 1 / 0.98)
MARKS = {"hot": (BLUE, "o", -0.16), "cold": (ORANGE, "s", 0.16)}
TITLES = {"inside": "what is inside blocks", "where": "where blocks lie"}


def patterns(rows: pd.DataFrame, question: str) -> Drawing:
    """Draw one panel a matrix: the time of each variant over that of full blocks at random places, hot and cold.

    Parameters
    ----------
    rows
        From `codesign.answers.patterns.compared`.
    question
        "inside" or "where".
    """
    rows = rows[rows["question"].isin([question, "both"])]
    ends = pd.concat([spans(rows, state)[["low", "high"]] for state in MARKS])
    limits = (min(0.96, ends["low"].min() - 0.01), max(1.04, ends["high"].max() + 0.01))
    rows = rows.assign(title=rows["size"] + ": " + TITLES[question])
    said = "{block} {variant} {hot.value:.3f} hot, {cold.value:.3f} cold"
    caption = (
        "Time over that of full blocks at random columns, with 95% intervals. Blue circles: weights hot; orange "
        "squares: weights cold. The control is the baseline once more."
    )
    allowed = " Pale: the two percent that the claim allows."
    return Drawing(
        facets(rows, "title", lambda title, part: _panel(title, part, limits, question == "inside")),
        " ".join(f"{s}, {TITLES[question]}: {spoken(part, said)}." for s, part in rows.groupby("size", sort=False)),
        caption + (allowed if question == "inside" else ""),
    )


def _panel(title: str, rows: pd.DataFrame, limits: tuple[float, float], banded: bool) -> Figure:
    rows = rows.reset_index(drop=True)
    with panel(width=4.4, height=0.9 + 0.23 * len(rows)) as (figure, axes):
        if banded:
            axes.axvspan(*ALLOWED, color=SKY, alpha=0.25, linewidth=0)
        axes.axvline(1, color=INK, linewidth=0.8)
        for state, (colour, marker, offset) in MARKS.items():
            found = spans(rows, state)
            ends = [found["value"] - found["low"], found["high"] - found["value"]]
            y = rows.index + offset
            axes.errorbar(found["value"], y, xerr=ends, color=colour, fmt=marker, markersize=3.6, elinewidth=1.4)
        for place in rows.index[rows["block"].ne(rows["block"].shift())][1:]:
            axes.axhline(place - 0.5, color=INK, linewidth=0.4, alpha=0.4)
        axes.set_yticks(rows.index, rows["block"] + "  " + rows["variant"])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(*limits)
        axes.spines["left"].set_visible(False)
        axes.set(xlabel="time over that of full blocks at random columns", title=title)
    return figure
