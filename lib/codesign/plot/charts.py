"""What several figures share: panels of rows, bars with their intervals and labels, and the words for both."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from codesign.plot.look import BLUE, INK, ORANGE, PAPER, SKY, at_end, panel

#: The one that a figure is about, those that it is compared with, and what is not ours.
COLOURS = {"best": BLUE, "ours": SKY, "other": ORANGE}
_LETTER = 0.014  # width of one, as a share of the longest bar


def spans(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the rows with ``value``, ``low`` and ``high`` of a column of `Interval`."""
    ends = [(each.value, each.low, each.high) for each in rows[column]]
    return rows.assign(**pd.DataFrame(ends, columns=["value", "low", "high"], index=rows.index))


def facets(rows: pd.DataFrame, by: str, draw: Callable[[Any, pd.DataFrame], Figure]) -> list[Figure]:
    """Draw one panel for each value of a column, in the order in which they come."""
    return [draw(value, part) for value, part in rows.groupby(by, sort=False, observed=True)]


def spoken(rows: pd.DataFrame, sentence: str, between: str = "; ") -> str:
    """Return what rows say to somebody who cannot see them: ``sentence`` formatted with the columns of each row."""
    return between.join(sentence.format(**row) for row in rows.to_dict("records"))


def spoken_by(rows: pd.DataFrame, by: str, heading: str, sentence: str, between: str = "; ") -> str:
    """Return what is `spoken` of each facet, after ``heading`` formatted with its value."""
    facets = rows.groupby(by, sort=False, observed=True)
    return " ".join(f"{heading.format(value)}: {spoken(part, sentence, between)}." for value, part in facets)


@contextmanager
def named_rows(
    names: Sequence[str], *, title: str, xlabel: str, limit: float, width: float = 4.6, row: float = 0.3
) -> Iterator[tuple[Figure, Axes]]:
    """Give a panel with one row a name, from the top, each ``row`` inches high; its axis begins at zero."""
    with panel(width=width, height=0.75 + row * max(len(names), 1)) as (figure, axes):
        yield figure, axes
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlim(0, limit)
        axes.spines["left"].set_visible(False)
        axes.set(xlabel=xlabel, ylabel="", title=title)


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
    names = rows["label"].tolist()
    with named_rows(names, title=title, xlabel=xlabel, limit=limit, width=width, row=0.26) as (figure, axes):
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
    return figure, axes


def stacked(axes: Axes, place: float, parts: Iterable[tuple[float, str, str, str]], longest: float) -> float:
    """Draw one bar of segments, each with its length, name, colour and ink; return where it ends.

    A name that does not fit its segment is left out; the ``longest`` bar of the axes says how much room there is.
    """
    end = 0.0
    for length, name, colour, ink in parts:
        axes.barh(place, length, left=end, height=0.74, color=colour, edgecolor=PAPER, linewidth=1)
        if length > _LETTER * longest * (len(name) + 2):
            axes.text(end + length / 2, place, name, ha="center", va="center", color=ink)
        end += length
    return end


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Return positions of labels near ``places``, in the same order of height, at least ``gap`` apart."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = list(places)
    for below, above in itertools.pairwise(order):
        moved[above] = max(moved[above], moved[below] + gap)
    return moved


def framed(axes: Axes) -> None:
    """Draw a thin line around a picture of a matrix."""
    for spine in axes.spines.values():
        spine.set(visible=True, color=INK, linewidth=0.6)
