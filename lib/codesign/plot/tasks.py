"""Which tuning tasks a pruned model has, how many an allocation makes, and how kernels get faster while tuned."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from codesign.answers.frames import OURS, by_shape, where
from codesign.answers.tasks import newest_tasks
from codesign.answers.words import SCOPE_LABELS
from codesign.plot.charts import facets, named_rows, spoken, spread, stacked
from codesign.plot.look import BLUE, ON_ORANGE, ORANGE, PAPER, SKY, Drawing, at_end, panel

#: Who pays for the sparsity -> colour of its marks.
ALLOCATIONS = {"uniform": BLUE, "row-balanced": SKY, "global": ORANGE}
Point = tuple[float, float]  # seconds, share of the first sum


def task_map(tasks: pd.DataFrame) -> Drawing:
    """Draw one panel a scope and one row a block shape: every segment is a task, as long as its number of uses.

    Parameters
    ----------
    tasks
        Task records; those of ``tvm-bsr`` are drawn, of the newest run of each model.
    """
    found = where(newest_tasks(tasks), engine=OURS)
    if not len(found):
        return Drawing([], "No tasks have been recorded.")
    found = found.assign(sparse=found["family_kind"] == "bsr")
    counts = found.groupby(["scope", "block"], sort=False).agg(tasks=("digest", "size"), sparse=("sparse", "sum"))
    alt = " ".join(
        f"{SCOPE_LABELS[scope]}: {spoken(by_shape(rows), '{block}: {tasks} tasks, {sparse} of them sparse')}."
        for scope, rows in counts.reset_index().groupby("scope", sort=False)
    )
    caption = (
        "Each row is one compiled model, each segment one tuning task, as long as the number of places that use it. "
        "Blue tasks are block-sparse, orange ones are not. On the right: tasks and the trials spent on them."
    )
    return Drawing(facets(found, "scope", _used), alt, caption)


def _used(scope: str, rows: pd.DataFrame) -> Figure:
    longest = rows.groupby("block")["weight"].sum().max()
    models = dict(list(by_shape(rows).groupby("block", sort=False)))
    title = SCOPE_LABELS[scope]
    with named_rows(list(models), title=title, xlabel="uses in one inference", limit=1.55 * longest) as (figure, axes):
        for place, tasks in enumerate(models.values()):
            ordered = tasks.sort_values(["sparse", "weight"], ascending=False, kind="stable")
            colours = {True: (BLUE, PAPER), False: (ORANGE, ON_ORANGE)}
            parts = ((task.weight, str(task.weight), *colours[task.sparse]) for task in ordered.itertuples())
            end = stacked(axes, place, parts, longest)
            at_end(axes, f"{len(tasks)} tasks, {tasks['trials'].sum()} trials", end, place)
    return figure


def task_counts(counted: pd.DataFrame) -> Drawing:
    """Draw one panel a model: for each block shape, a mark an allocation, and an open one after padding.

    Parameters
    ----------
    counted
        From `codesign.answers.tasks.counted`.
    """
    if not len(counted):
        return Drawing([], "No tasks have been counted.")
    alt = spoken(counted, "{model} {block} {allocation}: {sparse}, {padded}")
    caption = (
        "Distinct sparse tasks of an encoder. Full marks: as pruned. Open marks: after the blocks that are stored were "
        "padded to the next bucket."
    )
    return Drawing(facets(counted, "model", _counts), f"Sparse tasks, as they are and padded: {alt}.", caption)


def _counts(model: str, rows: pd.DataFrame) -> Figure:
    blocks, allocations = list(rows["block"].unique()), list(rows["allocation"].unique())
    title, limit = f"{model}, {rows['weights'].iloc[0]} weights", rows["sparse"].max() * 1.45
    with named_rows(blocks, title=title, xlabel="distinct sparse tasks", limit=limit, row=0.36) as (figure, axes):
        for row in rows.itertuples():
            shift = 0.22 * (allocations.index(row.allocation) - (len(allocations) - 1) / 2)
            place, colour = blocks.index(row.block) + shift, ALLOCATIONS[row.allocation]
            axes.plot([row.padded, row.sparse], [place, place], color=colour, linewidth=1)
            axes.plot(row.sparse, place, "o", color=colour, markersize=5)
            axes.plot(row.padded, place, "o", markerfacecolor="none", markeredgecolor=colour, markersize=7)
            if row.block == blocks[0]:
                at_end(axes, row.allocation, row.sparse, place, color=colour)
    return figure


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
