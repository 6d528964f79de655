"""Charts that several figures share: rows of bars with their intervals and labels, and panels side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from codesign.plot.look import BLUE, INK, ORANGE, SKY, at_end, panel

#: The one that a figure is about, those that it is compared with, and what is not ours.
COLOURS = {"best": BLUE, "ours": SKY, "other": ORANGE}


def spans(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the rows with ``value``, ``low`` and ``high`` of a column of `Interval`."""
    ends = [(each.value, each.low, each.high) for each in rows[column]]
    return rows.assign(**pd.DataFrame(ends, columns=["value", "low", "high"], index=rows.index))


def facets(rows: pd.DataFrame, by: str, draw: Callable[[Any, pd.DataFrame], Figure]) -> list[Figure]:
    """Draw one panel for each value of a column, in the order in which they come."""
    return [draw(value, part) for value, part in rows.groupby(by, sort=False, observed=True)]


def bars(
    rows: pd.DataFrame,
    *,
    title: str,
    xlabel: str,
    limit: float,
    width: float = 4.4,
    colours: Mapping[str, str] = COLOURS,
) -> tuple[Figure, Axes]:
    """Draw one horizontal bar a row with its interval, and its label at the end; the caller may add to the axes.

    Parameters
    ----------
    rows
        In order from the top: ``label`` at the left; ``value`` and, where it has one, ``low`` and ``high``; ``kind``, a
        key of ``colours``; ``text`` at the end of the bar.
    title, xlabel
        What stands above and below.
    limit
        Where the axis ends: panels that share it can be compared.
    width
        Of the panel, in inches.
    colours
        Colour of each kind; the first stands out in bold.
    """
    rows = rows.reset_index(drop=True)
    with panel(width=width, height=0.75 + 0.26 * max(len(rows), 1)) as (figure, axes):
        places = [str(place) for place in rows.index]
        sns.barplot(
            x=rows["value"], y=places, hue=rows["kind"], palette=dict(colours), dodge=False, legend=False,
            errorbar=None, width=0.72, saturation=1, linewidth=0, orient="h", ax=axes,
        )  # fmt: skip
        for place, row in rows.iterrows():
            if "low" in rows and row["low"] < row["high"]:
                axes.plot([row["low"], row["high"]], [place] * 2, color=INK, linewidth=1.2, solid_capstyle="butt")
            end = max(row["value"], row.get("high", row["value"]))
            at_end(axes, row["text"], end, place, weight="bold" if row["kind"] == next(iter(colours)) else "normal")
        axes.set_yticks(range(len(rows)), rows["label"])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(0, limit)
        axes.spines["left"].set_visible(False)
        axes.set(xlabel=xlabel, ylabel="", title=title)
    return figure, axes


def spoken(rows: pd.DataFrame, sentence: str, between: str = "; ") -> str:
    """Return what rows say to somebody who cannot see them: ``sentence`` formatted with the columns of each row."""
    return between.join(sentence.format(**row) for row in rows.to_dict("records"))
