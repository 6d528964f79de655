"""Which tuning tasks a pruned model has, how often each is used, and how many trials it got."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from codesign.answers.frames import OURS, by_shape, where
from codesign.answers.tasks import newest_tasks
from codesign.answers.words import SCOPE_LABELS
from codesign.plot.charts import facets, spoken
from codesign.plot.look import BLUE, ON_ORANGE, ORANGE, PAPER, Drawing, at_end, panel


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
    return Drawing(facets(found, "scope", _panel), alt, caption)


def _panel(scope: str, rows: pd.DataFrame) -> Figure:
    longest = rows.groupby("block")["weight"].sum().max()
    models = list(by_shape(rows).groupby("block", sort=False))
    with panel(width=4.6, height=0.7 + 0.3 * len(models)) as (figure, axes):
        for place, (_, tasks) in enumerate(models):
            start = 0
            for task in tasks.sort_values(["sparse", "weight"], ascending=False, kind="stable").itertuples():
                colour, inside = (BLUE, PAPER) if task.sparse else (ORANGE, ON_ORANGE)
                axes.barh(place, task.weight, left=start, height=0.74, color=colour, edgecolor=PAPER, linewidth=1)
                if task.weight > 0.06 * longest:
                    axes.text(start + task.weight / 2, place, str(task.weight), ha="center", va="center", color=inside)
                start += task.weight
            at_end(axes, f"{len(tasks)} tasks, {tasks['trials'].sum()} trials", start, place)
        axes.set_yticks(range(len(models)), [block for block, _ in models])
        axes.invert_yaxis()
        axes.set_xlim(0, longest * 1.55)
        axes.spines["left"].set_visible(False)
        axes.set(xlabel="uses in one inference", title=SCOPE_LABELS[scope])
    return figure
