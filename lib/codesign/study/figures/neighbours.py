"""What the time of a kernel becomes when one decision of its schedule is another."""

from __future__ import annotations

from collections.abc import Sequence

from codesign.schema import Record
from codesign.study.figures.drawing import BLUE, INK, ORANGE, Drawing, at_end, panel
from codesign.study.listed import against_chosen
from codesign.study.screening import STATES

_COLOURS = dict(zip(STATES, (ORANGE, BLUE), strict=True))


def neighbours(records: Sequence[Record]) -> Drawing:
    """Draw the time of each neighbour over that of the chosen schedule, hot and cold, with intervals.

    Parameters
    ----------
    records
        `neighbour` records of one session.
    """
    found = {state: against_chosen(records, state) for state in STATES} if records else {}
    names = list(found.get("hot", ()))
    if not names:
        return Drawing([], "No schedule has been timed beside the chosen one.")
    farthest = max(found[state][name].high for state in STATES for name in names)
    nearest = min(found[state][name].low for state in STATES for name in names)
    with panel(width=5.6, height=0.8 + 0.42 * len(names)) as (figure, axes):
        for place, name in enumerate(names):
            for state, shift in zip(STATES, (-0.16, 0.16), strict=True):
                ratio = found[state][name]
                axes.plot([ratio.low, ratio.high], 2 * [place + shift], color=_COLOURS[state], linewidth=2)
                axes.plot(ratio.value, place + shift, "o", color=_COLOURS[state], markersize=5)
                if place == 0:
                    at_end(axes, state, ratio.high, place + shift, color=INK, fontsize=7)
        axes.axvline(1, color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
        axes.set_xscale("log")
        ticks = [tick for tick in (0.5, 0.75, 1, 1.25, 1.5, 2, 3, 4, 6, 8) if nearest * 0.95 <= tick <= farthest * 1.05]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("time, in units of the chosen schedule's")
    doubt = " The session is flagged: the schedule differs from itself by too much." if records[0]["flagged"] else ""
    said = "; ".join(f"{name}: {', '.join(f'{found[s][name].value:.2f} {s}' for s in STATES)}" for name in names)
    caption = (
        "One decision changed at a time, orange with weights in a cache and blue with cold ones, with 95% intervals. "
        "The first line is the chosen schedule once more: what it differs from itself, every interval is wider by."
        + doubt
    )
    return Drawing([figure], f"Time over that of the chosen {records[0]['block']} schedule. {said}.", caption)
