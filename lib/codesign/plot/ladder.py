"""From another engine to ours, step by step: a waterfall of milliseconds, each step labelled with its factor."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from codesign.answers.ledger import REST
from codesign.answers.words import ENGINE_LABELS, SCOPE_LABELS, three_digits, times
from codesign.plot.look import BLUE, INK, ORANGE, SKY, Drawing, at_end, panel


def ladder(steps: pd.DataFrame) -> Drawing:
    """Draw one panel a ledger, from the engine by others at the top to our sparse one at the bottom.

    Parameters
    ----------
    steps
        From `codesign.answers.ledger.ledgers`.
    """
    longest = steps[["before_ms", "after_ms"]].max(axis=None)
    found = [part for _, part in steps.groupby(["baseline", "scope", "block"], sort=False)]
    caption = (
        "Every bar goes from the time before a step to the time after it; its label is the factor of the step, with a "
        "95% interval. Blue: one thing was changed and measured, or follows from profiles. Pale: what is left of a "
        "measured ratio. Orange: a step that costs time. The factors multiply to the measured speed-up."
    )
    return Drawing([_panel(part, longest) for part in found], " ".join(map(_sentence, found)), caption)


def _panel(steps: pd.DataFrame, longest: float) -> Figure:
    first, last = steps.iloc[0], steps.iloc[-1]
    start, end = first["before_ms"], last["after_ms"]
    bars = [(0.0, start, INK, f"{three_digits(start)} ms")]
    for step in steps.itertuples():
        colour = ORANGE if step.after_ms > step.before_ms else SKY if step.how == REST else BLUE
        bars.append((step.before_ms, step.after_ms, colour, times(step.factor)))
    bars.append((0.0, end, INK, f"{three_digits(end)} ms, {times(last['total'])}"))
    names = [ENGINE_LABELS[first["baseline"]], *steps["step"], f"our compiler, {first['block']}"]
    with panel(width=5.6, height=0.9 + 0.3 * len(bars)) as (figure, axes):
        for place, (before, after, colour, label) in enumerate(bars):
            axes.barh(place, abs(after - before), left=min(before, after), height=0.62, color=colour)
            at_end(axes, label, max(before, after), place)
        for place, level in enumerate([start, *steps["after_ms"]], start=1):
            axes.plot([level, level], [place - 1.36, place + 0.36], color=INK, linewidth=0.6)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(0, longest * 1.45)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("milliseconds per inference")
        axes.set_title(f"{SCOPE_LABELS[first['scope']]}, {first['block']}")
    return figure


def _sentence(steps: pd.DataFrame) -> str:
    first = steps.iloc[0]
    factors = ", ".join(f"{step.step} {step.factor.value:.2f}" for step in steps.itertuples())
    pruned = f"{SCOPE_LABELS[first['scope']]} in {first['block']} blocks, from {ENGINE_LABELS[first['baseline']]}"
    return f"{pruned}: {factors}; together {first['total'].value:.2f} times as fast."
