"""How kernels get faster while the task scheduler spends its trials."""

from __future__ import annotations

from collections.abc import Iterable

from codesign.plot.labels import spread
from codesign.plot.look import BLUE, ORANGE, Drawing, at_end, panel
from codesign.schema import Record

Point = tuple[float, float]  # seconds, share of the first sum


def tuning_curves(records: Iterable[Record]) -> Drawing:
    """Draw, for each tuning run, the weighted sum of best task times as a share of the first such sum.

    Runs tune different sets of tasks, so shares are compared, not times.

    Parameters
    ----------
    records
        Tuning records. Stretches in which not every task has a time yet are not drawn.
    """
    lines = [(f"{name(r)}, {r['tasks']} tasks", points) for r in records if (points := shares(r["curve"]))]
    colours = [BLUE if label.startswith("our") else ORANGE for label, _ in lines]
    with panel(width=6.4, height=3.0) as (figure, axes):
        heights = spread([points[-1][1] for _, points in lines], gap=0.08)
        for (label, points), colour, height in zip(lines, colours, heights, strict=True):
            seconds, share = zip(*points, strict=True)
            axes.step(seconds, share, where="post", color=colour, linewidth=1.8)
            at_end(axes, f"{label}: {share[-1]:.0%}", seconds[-1], height, color=colour)
        longest = max((points[-1][0] for _, points in lines), default=1.0)
        axes.set_xlim(0, longest * 1.55)
        axes.set_ylim(0, 1.05)
        axes.yaxis.set_major_formatter("{x:.0%}")
        axes.set_xlabel("seconds of tuning")
        axes.set_ylabel("kernel time, share of the first")
    ends = "; ".join(f"{label}: {points[-1][1]:.0%} after {points[-1][0]:.0f} s" for label, points in lines)
    alt = f"Kernel time left after tuning, as a share of the first schedules: {ends}."
    caption = "Each step down is a better schedule for some task, weighted by how often an inference uses the task."
    return Drawing([figure], alt, caption) if lines else Drawing([], "No tuning has been recorded.")


def shares(curve: list[list[float | None]]) -> list[Point]:
    """Return the points of a curve where every task has a time, relative to the first of them."""
    known = [(seconds, ns) for seconds, _, ns in curve if seconds is not None and ns]
    return [(seconds, ns / known[0][1]) for seconds, ns in known]


def name(record: Record) -> str:
    """Name the pipeline whose tasks were tuned."""
    return "TVM stock" if record["engine"].startswith("tvm-stock") else "our compiler"
