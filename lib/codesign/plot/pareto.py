"""What pruning buys and what it costs: accuracy against latency of the same weights."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from codesign.answers.accuracy import PRUNING, share
from codesign.answers.frames import median_ms, newest, usable, where
from codesign.answers.tradeoff import points
from codesign.answers.words import ENGINE_LABELS, SCOPE_LABELS, three_digits
from codesign.plot.charts import spans, spoken, spread
from codesign.plot.look import BLUE, INK, ORANGE, SKY, Drawing, at_end, panel

#: Dense engines that are drawn as lines.
GUIDES = ("tvm-dense", "openvino")


def pareto(judged: pd.DataFrame, timed: pd.DataFrame, scope: str = "all") -> Drawing:
    """Draw one point a pruned model that was both judged and timed, with 95% intervals both ways.

    Parameters
    ----------
    judged
        From `codesign.answers.accuracy.newest_recipe`; seeds of the same pruning are one point.
    timed
        Times of the same weights (of any seed) and of dense engines, under one load.
    scope
        Which weights were pruned.
    """
    if not len(places := points(judged, timed, scope)):
        return Drawing([], "No pruned model has been both judged and timed.")
    dense = share(where(judged, block="dense")).value
    with panel(width=6.4, height=5.4) as (figure, axes):
        _draw_points(axes, places)
        engines = _draw_engines(axes, timed)
        axes.axhline(dense, color=INK, linewidth=0.9, linestyle=(0, (2, 2)))
        axes.annotate("dense", (0, dense), (4, 3), ("axes fraction", "data"), "offset points", fontsize=8)
        axes.set_xlim(left=0)
        axes.margins(x=0.15, y=0.1)
        axes.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))  # no tick between two percents
        axes.yaxis.set_major_formatter("{x:.0%}")
        axes.set(xlabel="milliseconds per inference (less is better)", ylabel="right answers (more is better)")
        axes.set_title(SCOPE_LABELS[scope])
    texts = places.assign(time=[three_digits(ms.value) for ms in places["ms"]])
    each = spoken(texts, "{block} at {sparsity:.0%}: {right.value:.1%} in {time} ms")
    best = spoken(places[places["best"]], "{block} at {sparsity:.0%}", ", ")
    lines = "".join(f" {label}: {three_digits(ms)} ms." for label, ms in engines.items())
    alt = f"Accuracy against latency of pruned models: {each}. Best trade-offs: {best}. Dense: {dense:.1%}.{lines}"
    return Drawing([figure], alt, _caption(judged))


def _draw_points(axes: Axes, places: pd.DataFrame) -> None:
    """Draw a cross of intervals for each model; labels of models close in latency stand one above the other."""
    right, ms = spans(places, "right"), spans(places, "ms")
    for i, best in places["best"].items():
        x, y, colour = ms.loc[i], right.loc[i], BLUE if best else SKY
        axes.plot([x["low"], x["high"]], [y["value"]] * 2, color=colour, linewidth=1)
        axes.plot([x["value"]] * 2, [y["low"], y["high"]], color=colour, linewidth=1)
        axes.plot(x["value"], y["value"], "o", color=colour, markersize=5)
    gap = 0.045 * (right["high"].max() - right["low"].min())
    ordered = ms["value"].sort_values(kind="stable")
    close = (ordered.diff() > 0.12 * ordered.max()).cumsum()
    name = "{block} {sparsity:.0%}" if places["sparsity"].nunique() > 1 else "{block}"
    for _, group in right["value"].reindex(ordered.index).groupby(close):
        for i, height in zip(group.index, spread(list(group), gap), strict=True):
            weight = "bold" if places.loc[i, "best"] else "normal"
            at_end(axes, name.format(**places.loc[i]), ms.loc[i, "high"], height, weight=weight, fontsize=8)


def _draw_engines(axes: Axes, timed: pd.DataFrame) -> dict[str, float]:
    """Draw a line for each dense engine; return label -> milliseconds."""
    rows = newest(usable(timed)).set_index("engine")["record"]
    lines = {ENGINE_LABELS[engine]: median_ms(rows[engine]).value for engine in GUIDES if engine in rows}
    for label, ms in sorted(lines.items(), key=lambda line: line[1]):
        side, offset = ("right", -3) if ms == min(lines.values()) else ("left", 4)
        axes.axvline(ms, color=ORANGE, linewidth=1.2)
        axes.annotate(
            label, (ms, 0.02), (offset, 0), ("data", "axes fraction"), "offset points", rotation=90, ha=side, fontsize=8
        )
    return lines


def _caption(judged: pd.DataFrame) -> str:
    """Say what was judged and how often."""
    seeds = judged.groupby(PRUNING).size()
    times = f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    first = judged.iloc[0]
    return (
        f"{first['model']} on the task {first['task']}, {times} seed{'s' * (times != '1')} a point. Each "
        "point is one block shape: the same pruned weights judged and timed, with 95% intervals. Strong blue: no other "
        "point is both faster and more accurate. Orange lines: dense engines."
    )
