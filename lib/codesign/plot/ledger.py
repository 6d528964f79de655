"""Where an inference spends its time, and where a speed-up comes from."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from codesign.answers.frames import OUR_DENSE
from codesign.answers.ledger import REST
from codesign.answers.words import ENGINE_LABELS, SCOPE_LABELS, shape_order, three_digits, times
from codesign.plot.charts import named_rows, stacked
from codesign.plot.look import BLUE, INK, ON_ORANGE, ORANGE, PAPER, SKY, Drawing, at_end
from codesign.schema.parts import KERNEL_KINDS, LINEARS

ALL_LINEARS = "linears"
#: Segment -> colour, and the colour of its label. All linears are one segment.
COLOURS = {ALL_LINEARS: (BLUE, PAPER), "attention": (SKY, INK)}
OTHERS = (ORANGE, ON_ORANGE)


def operator_profile(kinds: pd.DataFrame, scope: str = "all") -> Drawing:
    """Draw one bar for each block shape of a scope and one for the dense encoder, a segment a kind of kernel.

    Parameters
    ----------
    kinds
        From `codesign.answers.ledger.by_kind`.
    scope
        Which weights were pruned.
    """
    encoders = _segments(kinds, scope)
    if not encoders:
        return Drawing([], "No encoder has been profiled for this figure.")
    longest = max(segments.sum() for segments in encoders.values())
    label, title = "milliseconds in kernels per inference", SCOPE_LABELS[scope]
    with named_rows(list(encoders), title=title, xlabel=label, limit=1.5 * longest, width=6.4, row=0.34) as (fig, axes):
        for place, segments in enumerate(encoders.values()):
            total = segments.sum()
            stacked(axes, place, ((ms, name, *COLOURS.get(name, OTHERS)) for name, ms in segments.items()), longest)
            outside = 1 - segments.get(ALL_LINEARS, 0.0) / total
            at_end(axes, f"{three_digits(total)} ms, {outside:.0%} outside the linears", total, place)
    said = "; ".join(
        f"{block}: {', '.join(f'{name} {three_digits(ms)}' for name, ms in segments.items())}"
        for block, segments in encoders.items()
    )
    caption = (
        "Blue: linears, pale blue: attention, orange: everything else, in the order layer norm, GELU, embedding, "
        "layout, other. Kernels are timed one by one inside whole inferences; bars add up their medians."
    )
    return Drawing([fig], f"{title}, milliseconds in kernels: {said}.", caption)


def _segments(kinds: pd.DataFrame, scope: str) -> dict[str, pd.Series]:
    """Return block -> segment -> milliseconds, in the order in which they are drawn."""
    if not len(kinds):
        return {}
    rows = kinds[(kinds["engine"] == OUR_DENSE) | (kinds["stored_scope"] == scope)]
    names = rows["function_kind"].mask(rows["function_kind"].isin(LINEARS), ALL_LINEARS)
    order = pd.Categorical(names, [ALL_LINEARS, *(kind for kind in KERNEL_KINDS if kind not in LINEARS)])
    sums = rows.assign(segment=order).groupby(["stored_block", "segment"], observed=True)["ms"].sum()
    return {block: sums[block] for block in sorted(rows["stored_block"].unique(), key=shape_order)}


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
    rows = [(ENGINE_LABELS[first["baseline"]], 0.0, start, INK, f"{three_digits(start)} ms")]
    for step in steps.itertuples():
        colour = ORANGE if step.after_ms > step.before_ms else SKY if step.how == REST else BLUE
        rows.append((step.step, step.before_ms, step.after_ms, colour, times(step.factor)))
    rows.append((f"our compiler, {first['block']}", 0.0, end, INK, f"{three_digits(end)} ms, {times(last['total'])}"))
    title, label = f"{SCOPE_LABELS[first['scope']]}, {first['block']}", "milliseconds per inference"
    with named_rows([name for name, *_ in rows], title=title, xlabel=label, limit=1.45 * longest, width=5.6) as (
        figure,
        axes,
    ):
        for place, (_, before, after, colour, text) in enumerate(rows):
            axes.barh(place, abs(after - before), left=min(before, after), height=0.62, color=colour)
            at_end(axes, text, max(before, after), place)
        for place, level in enumerate([start, *steps["after_ms"]], start=1):
            axes.plot([level, level], [place - 1.36, place + 0.36], color=INK, linewidth=0.6)
    return figure


def _sentence(steps: pd.DataFrame) -> str:
    first = steps.iloc[0]
    factors = ", ".join(f"{step.step} {step.factor.value:.2f}" for step in steps.itertuples())
    pruned = f"{SCOPE_LABELS[first['scope']]} in {first['block']} blocks, from {ENGINE_LABELS[first['baseline']]}"
    return f"{pruned}: {factors}; together {first['total'].value:.2f} times as fast."
