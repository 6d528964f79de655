"""Which tuning tasks a pruned model has, how often each is used, and how many trials it got."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.figure import Figure

from codesign.answers.words import SCOPE_LABELS, shape_order
from codesign.plot.look import BLUE, ON_ORANGE, ORANGE, PAPER, Drawing, at_end, panel
from codesign.schema import Record
from codesign.study.evidence import newest_tasks

COLOURS = {"bsr": BLUE} | dict.fromkeys(("dense", "other", "stock"), ORANGE)
INSIDE = {"bsr": PAPER} | dict.fromkeys(("dense", "other", "stock"), ON_ORANGE)


def task_map(records: Iterable[Record]) -> Drawing:
    """Draw one panel a scope and one row a block shape: every segment is a task, as long as its number of uses.

    Parameters
    ----------
    records
        Task records; those of ``tvm-bsr`` are drawn, of the newest run of each model.
    """
    models: dict[str, dict[str, list[Record]]] = {}
    for (_, scope, block), tasks in newest_tasks(r for r in records if r["engine"] == "tvm-bsr").items():
        models.setdefault(scope, {})[block] = tasks
    panels = [scope_panel(scope, rows) for scope, rows in models.items()]
    alt = " ".join(sentence(scope, rows) for scope, rows in models.items()) or "No tasks have been recorded."
    return Drawing(
        panels,
        alt,
        "Each row is one compiled model, each segment one tuning task, as long as the number of places that use it. "
        "Blue tasks are block-sparse, orange ones are not. On the right: tasks and the trials spent on them.",
    )


def scope_panel(scope: str, rows: dict[str, list[Record]]) -> Figure:
    """Draw the models of one scope."""
    blocks = sorted(rows, key=shape_order)
    longest = max(sum(t["weight"] for t in rows[b]) for b in blocks)
    with panel(width=4.6, height=0.7 + 0.3 * len(blocks)) as (figure, axes):
        for place, block in enumerate(blocks):
            tasks = sorted(rows[block], key=lambda t: (t["family_kind"] != "bsr", -t["weight"]))
            start = 0
            for task in tasks:
                uses, colour = task["weight"], COLOURS[task["family_kind"]]
                axes.barh(place, uses, left=start, height=0.74, color=colour, edgecolor=PAPER, linewidth=1)
                if uses > 0.06 * longest:
                    axes.text(
                        start + uses / 2, place, str(uses), ha="center", va="center", color=INSIDE[task["family_kind"]]
                    )
                start += uses
            trials = sum(t["trials"] for t in tasks)
            at_end(axes, f"{len(tasks)} tasks, {trials} trials", start, place)
        axes.set_yticks(range(len(blocks)), blocks)
        axes.invert_yaxis()
        axes.set_xlim(0, longest * 1.55)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("uses in one inference")
        axes.set_title(SCOPE_LABELS[scope])
    return figure


def sentence(scope: str, rows: dict[str, list[Record]]) -> str:
    """Say in words what one panel shows."""
    parts = []
    for block in sorted(rows, key=shape_order):
        sparse = [t for t in rows[block] if t["family_kind"] == "bsr"]
        parts.append(f"{block}: {len(rows[block])} tasks, {len(sparse)} of them sparse")
    return f"{SCOPE_LABELS[scope]}: {'; '.join(parts)}."
