"""From which sparsity skipping blocks pays, and what another load does to the gain: one line a block shape."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from codesign.answers.crossover import crossovers
from codesign.plot.charts import facets, spans, spoken, spread
from codesign.plot.look import BLUE, INK, ORANGE, SKY, Drawing, at_end, panel
from codesign.study.points import HEADLINE


def crossover(curves: pd.DataFrame) -> Drawing:
    """Draw one panel a model: gain against sparsity, with 95% bands; above the orange line sparse wins.

    Parameters
    ----------
    curves
        From `codesign.answers.crossover.by_sparsity`; each model is a panel. A shape at one sparsity is no line: it is
        left out where its model has others.
    """
    if not len(curves):
        return Drawing([], "Nothing swept.")
    points = curves.groupby(["model", "block"])["sparsity"].transform("size")
    curves = curves[(points > 1) | (points.groupby(curves["model"]).transform("max") == 1)]
    rows = spans(curves, "gain")
    listing = spoken(crossovers(curves), "{model} {block} {pays_from}")
    return Drawing(
        facets(rows, "model", lambda model, part: _model(model, part, _top(rows, "model"))),
        f"Sparsity from which on sparse kernels beat the best dense engine: {listing}.",
        f"How many times faster than the best dense engine of the session, by share of blocks removed. One "
        f"line a block shape, {HEADLINE} highlighted; bands are 95% intervals. Above the orange line, sparse wins.",
    )


def _model(model: str, rows: pd.DataFrame, top: float) -> Figure:
    with panel(width=4.4, height=3.0) as (figure, axes):
        for block, part in rows.groupby("block"):
            colour = BLUE if block == HEADLINE else SKY
            axes.fill_between(part["sparsity"], part["low"], part["high"], color=colour, alpha=0.25, linewidth=0)
        _lines(axes, rows.assign(x=rows["sparsity"]), top)
        sparsities = sorted(rows["sparsity"].unique())
        room = max(sparsities[-1] - sparsities[0], 0.05)
        axes.set_xlim(sparsities[0] - 0.04 * room, sparsities[-1] + 0.22 * room)
        axes.set_xticks(sparsities)
        axes.xaxis.set_major_formatter("{x:.0%}")
        axes.set(xlabel="share of blocks removed", ylabel="times faster than the best dense engine", title=model)
    return figure


def loads(rows: pd.DataFrame) -> Drawing:
    """Draw one panel a factor: gain over the best dense engine against its values, with 95% intervals.

    Parameters
    ----------
    rows
        From `codesign.answers.crossover.by_load`.
    """
    if not len(rows):
        return Drawing([], "No other batch, sequence length or number of threads has been measured.")
    rows = spans(rows.assign(given=rows["value"]), "gain")
    return Drawing(
        facets(rows, "factor", lambda factor, part: _factor(factor, part, _top(rows, "factor"))),
        f"Times faster than the best dense engine: {spoken(rows, '{factor} {given}, {block}: {value:.2f}')}.",
        "How many times faster than the best dense engine of the session, when one factor of the load changes. "
        f"{HEADLINE} is highlighted; lines through the points are 95% intervals. Above the orange line, sparse wins.",
    )


def _factor(factor: str, rows: pd.DataFrame, top: float) -> Figure:
    given = sorted(rows["given"].unique())
    rows = rows.assign(x=rows["given"].map(given.index))  # evenly spaced: the values grow by factors
    with panel(width=2.9, height=2.8) as (figure, axes):
        axes.vlines(rows["x"], rows["low"], rows["high"], color=INK, zorder=3)
        _lines(axes, rows, top)
        axes.set_xticks(range(len(given)), [str(value) for value in given])
        axes.set_xlim(-0.3, len(given) - 0.3)
        axes.set(xlabel=factor, ylabel="times faster than dense")
    return figure


def _lines(axes: Axes, rows: pd.DataFrame, top: float) -> None:
    """Draw ``value`` against ``x``, a line a block shape with its name at the end, up to ``top``."""
    axes.axhline(1, color=ORANGE, linewidth=1.2)
    strong = {block: block == HEADLINE for block in rows["block"]}
    sns.lineplot(
        rows, x="x", y="value", hue="block", size="block", legend=False, errorbar=None, ax=axes, estimator=None,
        palette={block: BLUE if it else SKY for block, it in strong.items()}, marker="o", markersize=4,
        sizes={block: 2.2 if it else 1.4 for block, it in strong.items()}, markeredgewidth=0,
    )  # fmt: skip
    ends = _ends(rows, top)
    for block, x, height in zip(ends["block"], ends["x"], ends["height"], strict=True):
        at_end(axes, block, x, height, color=INK, weight="bold" if strong[block] else "normal")
    axes.set_ylim(0, top)


def _ends(rows: pd.DataFrame, top: float) -> pd.DataFrame:
    """Return the last row of each block shape, and at which height its name stands so that none covers another."""
    ends = rows.groupby("block", sort=False).tail(1)
    return ends.assign(height=spread(ends["value"].tolist(), 0.07 * top))


def _top(rows: pd.DataFrame, by: str) -> float:
    """Return where the axes of all panels end: above every interval and every name."""
    limit = 1.08 * max(1.0, rows["high"].max())
    return max(limit, *(_ends(part, limit)["height"].max() + 0.04 * limit for _, part in rows.groupby(by)))
