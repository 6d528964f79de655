"""How fast searches come near the best point of a space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from codesign.schema import Record
from codesign.study.figures.drawing import BLUE, ORANGE, SKY, Drawing, at_end, panel
from codesign.study.figures.labels import spread
from codesign.study.searched import Task, excess

_LINES = {"random": ("random", ORANGE), "model": ("with the model", SKY), "taught": ("model taught by others", BLUE)}


def search_curves(records: Sequence[Record]) -> Drawing:
    """Draw for each task how much slower than the best of its space a search's best is, trial by trial.

    Parameters
    ----------
    records
        Search records of one study. Lines are means over seeds, bands hold the middle half of them.
    """
    found = {strategy: excess(records, strategy) for strategy in _LINES}
    found = {strategy: tasks for strategy, tasks in found.items() if tasks}
    tasks = list(dict.fromkeys(task for tasks in found.values() for task in tasks))
    if not tasks:
        return Drawing([], "No search has been recorded.")
    panels = [_panel(task, {strategy: tasks[task] for strategy, tasks in found.items()}) for task in tasks]
    ends = "; ".join(
        f"{n}x{k}, {_LINES[strategy][0]}: {curves[n, k][:, -1].mean():.1%}"
        for n, k in tasks
        for strategy, curves in found.items()
    )
    alt = f"Time above the best of the space after the last trial, mean over seeds: {ends}."
    caption = (
        "How much slower than the fastest point of the whole space the best trial so far is. One panel a matrix size; "
        "lines are means over seeds, bands hold the middle half of the searches."
    )
    return Drawing(panels, alt, caption)


def _panel(task: Task, found: dict[str, np.ndarray]) -> Figure:
    with panel(width=4.4, height=3.0) as (figure, axes):
        top = max(0.02, *(float(curves.mean(0).max()) for curves in found.values())) * 1.15
        heights = spread([float(curves[:, -1].mean()) for curves in found.values()], gap=top * 0.08)
        for (strategy, curves), height in zip(found.items(), heights, strict=True):
            label, colour = _LINES[strategy]
            trials = np.arange(1, curves.shape[1] + 1)
            low, high = np.percentile(curves, [25, 75], axis=0)
            axes.fill_between(trials, low, high, step="post", color=colour, alpha=0.2, linewidth=0)
            axes.step(trials, curves.mean(0), where="post", color=colour, linewidth=1.8)
            at_end(axes, label, float(trials[-1]), height, color=colour)
        axes.set_xlim(1, trials[-1] * 1.6)
        axes.set_ylim(0, top)
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_xlabel("trials")
        axes.set_ylabel("slower than the best point")
        axes.set_title(f"{task[0]}x{task[1]}")
    return figure
