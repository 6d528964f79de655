"""From another engine to ours, step by step: a waterfall of milliseconds, each step labelled with its factor."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from codesign.answers.words import ENGINE_LABELS, SCOPE_LABELS, three_digits, times
from codesign.plot.look import BLUE, INK, ORANGE, SKY, Drawing, at_end, panel
from codesign.study.ladder import REST, Ladder


def ladder(found: Sequence[Ladder]) -> Drawing:
    """Draw one panel a ladder, from the engine by others at the top to our sparse one at the bottom."""
    longest = max((_longest(each) for each in found), default=1.0)
    panels = [_panel(each, longest) for each in found]
    caption = (
        "Every bar goes from the time before a step to the time after it; its label is the factor of the step, with a "
        "95% interval. Blue: one thing was changed and measured, or follows from profiles. Pale: what is left of a "
        "measured ratio. Orange: a step that costs time. The factors multiply to the measured speed-up."
    )
    return Drawing(panels, " ".join(map(_sentence, found)) or "No ledger has been measured on this machine.", caption)


def _times(found: Ladder) -> list[float]:
    """Milliseconds before the first step and after each."""
    after = [found.start_ms]
    for step in found.steps:
        after.append(after[-1] / step.factor.value)
    return after


def _longest(found: Ladder) -> float:
    return max(_times(found))


def _panel(found: Ladder, longest: float) -> Figure:
    after = _times(found)
    with panel(width=5.6, height=0.9 + 0.3 * (len(found.steps) + 2)) as (figure, axes):
        _bar(axes, 0, 0.0, after[0], INK, f"{three_digits(after[0])} ms")
        for place, step in enumerate(found.steps, start=1):
            before, now = after[place - 1], after[place]
            colour = ORANGE if now > before else SKY if step.how == REST else BLUE
            _bar(axes, place, min(before, now), abs(before - now), colour, times(step.factor))
            axes.plot([before, before], [place - 1.36, place + 0.36], color=INK, linewidth=0.6)
        place = len(found.steps) + 1
        axes.plot([after[-1], after[-1]], [place - 1.36, place + 0.36], color=INK, linewidth=0.6)
        _bar(axes, place, 0.0, after[-1], INK, f"{three_digits(after[-1])} ms, {times(found.total)}")
        names = [ENGINE_LABELS[found.baseline], *(step.name for step in found.steps), f"our compiler, {found.block}"]
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(0, longest * 1.45)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("milliseconds per inference")
        axes.set_title(f"{SCOPE_LABELS[found.scope]}, {found.block}")
    return figure


def _bar(axes: Axes, place: int, left: float, width: float, colour: str, label: str) -> None:
    axes.barh(place, width, left=left, height=0.62, color=colour)
    at_end(axes, label, left + width, place)


def _sentence(found: Ladder) -> str:
    steps = ", ".join(f"{step.name} {step.factor.value:.2f}" for step in found.steps)
    name = f"{SCOPE_LABELS[found.scope]} in {found.block} blocks, from {ENGINE_LABELS[found.baseline]}"
    return f"{name}: {steps}; together {found.total.value:.2f} times as fast."
