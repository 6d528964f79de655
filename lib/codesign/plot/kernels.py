"""Single kernels: the share of the limit that they reach, what was predicted, and what patterns do to them."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from codesign.blocks import DENSE
from codesign.plot.charts import bars, facets, named_rows, spans, spoken, spoken_by
from codesign.plot.look import BLUE, INK, ORANGE, SKY, Drawing, at_end, panel

_SHARE = "share of the FMA ceiling"
#: Misses from which on a prediction is named in its figure.
_NAMED = 0.15
#: The ratios that the claim about patterns inside blocks allows.
ALLOWED = (0.98, 1 / 0.98)
MARKS = {"hot": (BLUE, "o", -0.16), "cold": (ORANGE, "s", 0.16)}
TITLES = {"inside": "what is inside blocks", "where": "where blocks lie"}


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
    return Drawing(
        facets(rows, "title", _shares),
        spoken_by(rows, "title", f"{{}}, {_SHARE}", "{block} {hot:.0%} hot and {cold:.0%} cold", ", "),
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
    return Drawing(
        facets(rows, "title", lambda title, part: _families(title, part, colours)),
        spoken_by(rows, "title", f"{{}}, {_SHARE} by family", "{block} {family} {share:.0%}", ", "),
        "Share of the FMA ceiling that the best schedule of each family reaches. Where a family has no mark it cannot "
        "compute the shape. The name of the fastest stands at the right.",
    )


def _families(title: str, rows: pd.DataFrame, colours: dict[str, str]) -> Figure:
    best = rows.loc[rows.groupby("block", sort=False)["share"].idxmax()]
    names = best["block"].tolist()
    with named_rows(names, title=title, xlabel=_SHARE, limit=1.6, width=4.4, row=0.28) as (figure, axes):
        axes.hlines(best["block"], 0, best["share"], color=INK, linewidth=0.5, alpha=0.5)
        sns.scatterplot(
            rows, x="share", y="block", hue="family", palette=colours, s=60, linewidth=0, legend=False, ax=axes
        )
        for row in best.itertuples():
            at_end(axes, f"{row.family} {row.share:.0%}", row.share, row.block)
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
    said = "{block} {variant} {hot.value:.3f} hot, {cold.value:.3f} cold"
    caption = (
        "Time over that of full blocks at random columns, with 95% intervals. Blue circles: weights hot; orange "
        "squares: weights cold. The control is the baseline once more."
    )
    allowed = " Pale: the two percent that the claim allows." if question == "inside" else ""
    return Drawing(
        facets(rows, "size", lambda size, part: _ratios(f"{size}: {TITLES[question]}", part, limits, bool(allowed))),
        spoken_by(rows, "size", f"{{}}, {TITLES[question]}", said),
        caption + allowed,
    )


def _ratios(title: str, rows: pd.DataFrame, limits: tuple[float, float], banded: bool) -> Figure:
    rows = rows.reset_index(drop=True)
    names, label = (rows["block"] + "  " + rows["variant"]).tolist(), "time over that of full blocks at random columns"
    with named_rows(names, title=title, xlabel=label, limit=limits[1], width=4.4, row=0.24) as (figure, axes):
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
    axes.set_xlim(*limits)
    return figure
