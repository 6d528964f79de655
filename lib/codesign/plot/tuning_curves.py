"""How kernels get faster while the task scheduler spends its trials."""

from __future__ import annotations

import pandas as pd

from codesign.plot.labels import spread
from codesign.plot.look import BLUE, ORANGE, Drawing, at_end, panel

Point = tuple[float, float]  # seconds, share of the first sum


def tuning_curves(tunings: pd.DataFrame) -> Drawing:
    """Draw, for each tuning run, the weighted sum of best task times as a share of the first such sum.

    Runs tune different sets of tasks, so shares are compared, not times. Stretches in which not every task has a time
    yet are not drawn.
    """
    lines = [
        ("TVM stock" if run["engine"].startswith("tvm-stock") else "our compiler", run["tasks"], points)
        for run in tunings["record"]
        if (points := shares(run["curve"]))
    ]
    if not lines:
        return Drawing([], "No tuning has been recorded.")
    with panel(width=6.4, height=3.0) as (figure, axes):
        heights = spread([points[-1][1] for *_, points in lines], gap=0.08)
        for (name, tasks, points), height in zip(lines, heights, strict=True):
            seconds, share = zip(*points, strict=True)
            colour = BLUE if name.startswith("our") else ORANGE
            axes.step(seconds, share, where="post", color=colour, linewidth=1.8)
            at_end(axes, f"{name}, {tasks} tasks: {share[-1]:.0%}", seconds[-1], height, color=colour)
        axes.set_xlim(0, 1.55 * max(points[-1][0] for *_, points in lines))
        axes.set_ylim(0, 1.05)
        axes.yaxis.set_major_formatter("{x:.0%}")
        axes.set(xlabel="seconds of tuning", ylabel="kernel time, share of the first")
    ends = "; ".join(f"{name}, {n} tasks: {points[-1][1]:.0%} after {points[-1][0]:.0f} s" for name, n, points in lines)
    alt = f"Kernel time left after tuning, as a share of the first schedules: {ends}."
    caption = "Each step down is a better schedule for some task, weighted by how often an inference uses the task."
    return Drawing([figure], alt, caption)


def shares(curve: list[list[float | None]]) -> list[Point]:
    """Return the points of a curve where every task has a time, relative to the first of them."""
    known = [(seconds, ns) for seconds, _, ns in curve if seconds is not None and ns]
    return [(seconds, ns / known[0][1]) for seconds, ns in known]
