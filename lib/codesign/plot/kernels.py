"""Single kernels: the share of the limit that they reach, by block shape and family, and what was predicted."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from codesign.blocks import DENSE
from codesign.plot.charts import bars, facets, spoken
from codesign.plot.look import BLUE, INK, ORANGE, SKY, Drawing, at_end, panel

_SHARE = "share of the FMA ceiling"
#: Misses from which on a prediction is named in its figure.
_NAMED = 0.15


def kernel_shares(rows: pd.DataFrame) -> Drawing:
    """Draw one panel a matrix, one row a block shape: the share of the FMA ceiling, a bar hot and a mark cold.

    Parameters
    ----------
    rows
        From `codesign.answers.kernels.hot_and_cold`.
    """
    rows = rows.assign(
        title=rows["size"] + ", " + rows["tokens"].astype(str) + " tokens, " + rows["isa"],
        label=rows["block"],
        value=rows["hot"],
        kind=(rows["block"] == DENSE).map({True: "dense", False: "pruned"}),
        text=rows["hot"].map("{:.0%}".format),
    )
    said = "{block} {hot:.0%} hot and {cold:.0%} cold"
    return Drawing(
        facets(rows, "title", _shares),
        " ".join(f"{t}, {_SHARE}: {spoken(part, said, ', ')}." for t, part in rows.groupby("title", sort=False)),
        "Useful multiply-adds of the fastest kernel of each block shape, as a share of the rate that the same cores "
        "reach in registers. Bars: weights hot, used again and again. Orange marks: weights cold, rotated through "
        "copies. The thin line is the ceiling.",
    )


def _shares(title: str, rows: pd.DataFrame) -> Figure:
    colours = {"pruned": BLUE, "dense": SKY}
    figure, axes = bars(rows, title=title, xlabel=_SHARE, limit=1.18, width=3.6, colours=colours)
    for place, cold in enumerate(rows["cold"]):
        axes.plot([cold, cold], [place - 0.38, place + 0.38], color=ORANGE, linewidth=2.4)
    axes.axvline(1, color=INK, linewidth=0.8)
    _percent(axes)
    return figure


def family_map(rows: pd.DataFrame) -> Drawing:
    """Draw one panel a matrix and load, one row a block shape, one mark a family: the share of the ceiling it reaches.

    Parameters
    ----------
    rows
        From `codesign.answers.kernels.winners`, by block shape and family.
    """
    rows = rows.assign(title=rows["size"] + ", " + rows["tokens"].astype(str) + " tokens")
    colours = dict(zip(rows["family"].unique(), (BLUE, ORANGE, SKY, INK), strict=False))
    said = "{block} {family} {share:.0%}"
    return Drawing(
        facets(rows, "title", lambda title, part: _families(title, part, colours)),
        " ".join(
            f"{title}, {_SHARE} by family: {spoken(part, said, ', ')}."
            for title, part in rows.groupby("title", sort=False)
        ),
        "Share of the FMA ceiling that the best schedule of each family reaches. Where a family has no mark it cannot "
        "compute the shape. The name of the fastest stands at the right.",
    )


def _families(title: str, rows: pd.DataFrame, colours: dict[str, str]) -> Figure:
    best = rows.loc[rows.groupby("block", sort=False)["share"].idxmax()]
    with panel(width=4.4, height=0.8 + 0.28 * len(best)) as (figure, axes):
        axes.hlines(best["block"], 0, best["share"], color=INK, linewidth=0.5, alpha=0.5)
        sns.scatterplot(
            rows, x="share", y="block", hue="family", palette=colours, s=60, linewidth=0, legend=False, ax=axes
        )
        for row in best.itertuples():
            at_end(axes, f"{row.family} {row.share:.0%}", row.share, row.block)
        axes.set_ylim(len(best) - 0.4, -0.6)
        axes.set_xlim(0, 1.6)
        axes.spines["left"].set_visible(False)
        axes.set(xlabel=_SHARE, ylabel="", title=title)
        _percent(axes)
    return figure


def _percent(axes: Axes) -> None:
    axes.set_xticks([0, 0.5, 1])
    axes.xaxis.set_major_formatter("{x:.0%}")


def predictions(rows: pd.DataFrame) -> Drawing:
    """Draw measured against predicted share of the ceiling, a panel hot and a panel cold; a point on the line is right.

    Parameters
    ----------
    rows
        From `codesign.answers.roofline.predictions`.
    """
    alt = []
    for state, part in rows.groupby("state", sort=False):
        worst = part.loc[part["off"].abs().sort_values(ascending=False, kind="stable").index[:3]]
        named = spoken(worst, "{size} {block} predicted {predicted:.0%}, measured {measured:.0%}")
        near = (part["off"].abs() <= _NAMED).sum()
        alt.append(f"Weights {state}: {near} of {len(part)} predictions within {_NAMED:.0%}; furthest off: {named}.")
    return Drawing(
        facets(rows, "state", _predicted),
        " ".join(alt),
        "Each point is the fastest kernel of a block shape and matrix. On the line, the prediction was right; below "
        "it, the kernel is slower than the model's bounds explain. Blue: bound by the ports; orange: by a bandwidth. "
        f"Misses above {_NAMED:.0%} are named.",
    )


def _predicted(state: str, rows: pd.DataFrame) -> Figure:
    with panel(width=3.8, height=3.6) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8)
        sns.scatterplot(
            rows, x="predicted", y="measured", hue=rows["bound"].str.startswith("bandwidth"), s=30,
            palette={False: BLUE, True: ORANGE}, legend=False, ax=axes,
        )  # fmt: skip
        for row in rows[rows["off"].abs() > _NAMED].itertuples():
            place = (row.predicted, row.measured)
            axes.annotate(row.block, place, (6, 0), textcoords="offset points", va="center")
        axes.set(xlim=(0, 1.1), ylim=(0, 1.1), xlabel=f"predicted {_SHARE}", ylabel="measured")
        axes.set_title(f"weights {state}")
        axes.tick_params(axis="y", length=3)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:.0%}")
    return figure
