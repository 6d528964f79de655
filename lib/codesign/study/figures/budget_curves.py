"""How near its best an encoder is after so many trials, and which tasks get them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from codesign.schema import Record
from codesign.study.figures.drawing import BLUE, ORANGE, SKY, Drawing, at_end, panel
from codesign.study.figures.labels import spread
from codesign.study.spent import curves

_COLOURS = {"uniform": BLUE, "global": ORANGE}
_ARMS = {"total": "same trials in total", "each": "same trials for each task"}


def budget_curves(records: Sequence[Record]) -> Drawing:
    """Draw one panel a block shape and arm: excess over the best against trials.

    Parameters
    ----------
    records
        Budget records; lines are means over replayed searches, bands hold the middle 95% of them.
    """
    panels, ends = list[Figure](), list[str]()
    for arm, words in _ARMS.items():
        found = curves(records, arm)
        for block in dict.fromkeys(block for block, _ in found):
            mine = {allocation: excess for (other, allocation), excess in found.items() if other == block}
            panels.append(_panel(f"{block}: {words}", mine))
            ends += [f"{block}, {words}, {name}: {excess[:, -1].mean():.1%}" for name, excess in mine.items()]
    if not panels:
        return Drawing([], "No budget has been spent.")
    caption = (
        "How much slower than with the best schedule of every task an encoder's sparse linears are. Lines are means "
        "over replayed searches and begin when every task has a time; bands hold 95% of the searches."
    )
    return Drawing(panels, f"Time above the best after the last trial: {'; '.join(ends)}.", caption)


def _panel(title: str, found: Mapping[str, np.ndarray]) -> Figure:
    with panel(width=4.4, height=3.0) as (figure, axes):
        longest = max(excess.shape[1] for excess in found.values())
        top = max(0.02, *(float(np.nanmax(np.append(e.mean(0), 0.0))) for e in found.values())) * 1.15
        heights = spread([float(excess[:, -1].mean()) for excess in found.values()], gap=top * 0.1)
        for (name, excess), height in zip(found.items(), heights, strict=True):
            trials = np.arange(1, excess.shape[1] + 1)
            known = ~np.isnan(excess).any(axis=0)
            low, high = np.percentile(excess[:, known], [2.5, 97.5], axis=0)
            axes.fill_between(trials[known], low, high, step="post", color=_COLOURS[name], alpha=0.2, linewidth=0)
            axes.step(trials[known], excess[:, known].mean(0), where="post", color=_COLOURS[name], linewidth=1.8)
            at_end(axes, name, float(trials[-1]), height, color=_COLOURS[name])
        axes.set_xlim(0, longest * 1.35)
        axes.set_ylim(0, top)
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_xlabel("trials of all tasks together")
        axes.set_ylabel("slower than the best")
        axes.set_title(title)
    return figure


def spending(records: Sequence[Record]) -> Drawing:
    """Draw for each real run how many trials each task has had, as the scheduler spends them.

    Parameters
    ----------
    records
        Budget records; those of the scheduler are drawn, one panel each, a line a task.
    """
    runs = [record for record in records if record["strategy"] == "scheduler"]
    if not runs:
        return Drawing([], "No real run has been recorded.")
    alt = "Trials of each task in real runs: " + "; ".join(
        f"{run['block']} {run['allocation']}, {_ARMS[run['arm']]}: {len(run['tasks'])} tasks" for run in runs
    )
    caption = "Real runs of TVM's task scheduler: the trials of each task. Thicker lines are tasks used more often."
    return Drawing([_spent(run) for run in runs], f"{alt}.", caption)


def _spent(run: Record) -> Figure:
    order = np.array([task for task, _ in run["trace"]])
    uses = [task["weight"] for task in run["tasks"]]
    with panel(width=4.4, height=2.6) as (figure, axes):
        for at, weight in enumerate(uses):
            counts = (order == at).cumsum()
            width = 0.8 + 2.2 * weight / max(uses)
            axes.step(np.arange(1, len(order) + 1), counts, where="post", linewidth=width, color=SKY, alpha=0.8)
        axes.set_xlabel("trials of all tasks together")
        axes.set_ylabel("trials of a task")
        axes.set_title(f"{run['block']} {run['allocation']}: {_ARMS[run['arm']]}")
    return figure
