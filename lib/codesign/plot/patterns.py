"""What patterns inside blocks, and the places of blocks, do to one kernel: ratios beside the A/A control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from codesign.plot.look import BLUE, INK, ORANGE, SKY, Drawing, panel

Span = tuple[float, float]

#: The ratios that the claim about patterns inside blocks allows.
ALLOWED: Span = (0.98, 1 / 0.98)
MARKS = {"hot": (BLUE, "o", -0.16), "cold": (ORANGE, "s", 0.16)}
TITLES = {"inside": "what is inside blocks", "where": "where blocks lie"}


def patterns(rows: Sequence[Mapping[str, Any]], question: str) -> Drawing:
    """Draw one panel a matrix: the time of each variant over that of full blocks at random places, hot and cold.

    Parameters
    ----------
    rows
        From `codesign.study.pattern_views.variant_rows`.
    question
        "inside" or "where".
    """
    shown = [row for row in rows if row["question"] in (question, "both")]
    if not shown:
        return Drawing([], "No variant has been measured on this machine.")
    ends = [end for row in shown for state in MARKS for end in (row[state].low, row[state].high)]
    limits = (min(0.96, min(ends) - 0.01), max(1.04, max(ends) + 0.01))
    groups = {size: [row for row in shown if row["size"] == size] for size in dict.fromkeys(r["size"] for r in shown)}
    band = ALLOWED if question == "inside" else None
    panels = [_panel(f"{size}: {TITLES[question]}", found, limits, band) for size, found in groups.items()]
    alt = " ".join(f"{size}, {TITLES[question]}: {'; '.join(map(_sentence, found))}." for size, found in groups.items())
    caption = (
        "Time over that of full blocks at random columns, with 95% intervals. Blue circles: weights hot; orange "
        "squares: weights cold. The control is the baseline once more."
    ) + (" Pale: the two percent that the claim allows." if band else "")
    return Drawing(panels, alt, caption)


def _panel(
    title: str, rows: Sequence[Mapping[str, Any]], limits: tuple[float, float], band: tuple[float, float] | None
) -> Figure:
    with panel(width=4.4, height=0.9 + 0.23 * len(rows)) as (figure, axes):
        if band:
            axes.axvspan(*band, color=SKY, alpha=0.25, linewidth=0)
        axes.axvline(1, color=INK, linewidth=0.8)
        for place, row in enumerate(rows):
            _marks(axes, place, row)
            if place and row["block"] != rows[place - 1]["block"]:
                axes.axhline(place - 0.5, color=INK, linewidth=0.4, alpha=0.4)
        axes.set_yticks(range(len(rows)), [f"{row['block']}  {row['variant']}" for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(*limits)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("time over that of full blocks at random columns")
        axes.set_title(title)
    return figure


def _marks(axes: Axes, place: int, row: Mapping[str, Any]) -> None:
    for state, (colour, marker, offset) in MARKS.items():
        ratio = row[state]
        axes.plot([ratio.low, ratio.high], 2 * [place + offset], color=colour, linewidth=1.4)
        axes.plot([ratio.value], [place + offset], color=colour, marker=marker, markersize=3.6, linestyle="none")


def _sentence(row: Mapping[str, Any]) -> str:
    return f"{row['block']} {row['variant']} {row['hot'].value:.3f} hot, {row['cold'].value:.3f} cold"
