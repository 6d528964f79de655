"""Does the answer travel? Times by block shape on several machines, each in units of its own best dense engine."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from codesign.measure.ratios import Interval
from codesign.plot.look import BLUE, INK, ORANGE, SKY, Drawing, at_end, panel

NOTHING = "No block shape has been timed beside a dense engine on any machine."


def machines(found: Mapping[str, Mapping[str, Interval]]) -> Drawing:
    """Draw one panel a machine: a bar for each block shape, with its 95% interval; left of the orange line sparse wins.

    Parameters
    ----------
    found
        Label of a machine -> block shape -> relative time, from `codesign.study.described.relative_times`. A machine
        without any is left out.
    """
    drawn = {label: times for label, times in found.items() if times}
    limit = max((time.high for times in drawn.values() for time in times.values()), default=1.0) * 1.2
    shapes = list(dict.fromkeys(block for times in drawn.values() for block in times))
    panels = [_panel(label, times, shapes, max(limit, 1.2)) for label, times in drawn.items()]
    listing = ". ".join(
        f"{label}: {', '.join(f'{block} {time.value:.2f}' for block, time in times.items())}"
        for label, times in drawn.items()
    )
    alt = f"Time of each block shape in units of the best dense engine of the machine. {listing}." if drawn else NOTHING
    caption = (
        "Time of one inference with all encoder weights pruned, in units of the best dense float32 engine of the same "
        "machine, which is the orange line: shorter is better. The fastest shape is highlighted; lines at the end of "
        "bars are 95% intervals."
    )
    return Drawing(panels, alt, caption if drawn else "")


def _panel(label: str, times: Mapping[str, Interval], shapes: list[str], limit: float) -> Figure:
    """Draw one machine; every panel has a row for every shape, so that rows can be compared."""
    fastest = min(times, key=lambda block: times[block].value)
    with panel(width=3.6, height=0.9 + 0.25 * len(shapes)) as (figure, axes):
        axes.axvline(1, color=ORANGE, linewidth=1.4)
        for place, block in enumerate(shapes):
            if (time := times.get(block)) is None:
                at_end(axes, "not measured", 0, place)
                continue
            axes.barh(place, time.value, height=0.72, color=BLUE if block == fastest else SKY)
            axes.plot([time.low, time.high], [place, place], color=INK, linewidth=1.2, solid_capstyle="butt")
            at_end(axes, f"{time.value:.2f}", time.high, place, weight="bold" if block == fastest else "normal")
        axes.set_yticks(range(len(shapes)), shapes)
        axes.set_ylim(len(shapes) - 0.4, -0.6)
        axes.set_xlim(0, limit)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("time, best dense engine = 1")
        axes.set_title(label)
    return figure
