"""Where an inference spends its time: one bar an encoder, one segment a kind of kernel."""

from __future__ import annotations

import pandas as pd

from codesign.answers.frames import OUR_DENSE
from codesign.answers.words import SCOPE_LABELS, shape_order, three_digits
from codesign.plot.look import BLUE, INK, ON_ORANGE, ORANGE, PAPER, SKY, Drawing, at_end, panel
from codesign.schema.parts import KERNEL_KINDS, LINEARS

ALL_LINEARS = "linears"
#: Segment -> colour, and the colour of its label. All linears are one segment.
COLOURS = {ALL_LINEARS: (BLUE, PAPER), "attention": (SKY, INK)}
REST = (ORANGE, ON_ORANGE)
#: Width of a letter as a share of the axis: a label that does not fit its segment is left out.
LETTER = 0.014


def operator_profile(kinds: pd.DataFrame, scope: str = "all") -> Drawing:
    """Draw one bar for each block shape of a scope, and one for the dense encoder.

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
    with panel(width=6.4, height=0.75 + 0.34 * len(encoders)) as (figure, axes):
        for place, segments in enumerate(encoders.values()):
            for (name, ms), end in zip(segments.items(), segments.cumsum(), strict=True):
                colour, ink = COLOURS.get(name, REST)
                axes.barh(place, ms, left=end - ms, height=0.74, color=colour, edgecolor=PAPER, linewidth=1)
                if ms / longest > LETTER * (len(name) + 2):
                    axes.text(end - ms / 2, place, name, ha="center", va="center", color=ink)
            total = segments.sum()
            outside = 1 - segments.get(ALL_LINEARS, 0.0) / total
            at_end(axes, f"{three_digits(total)} ms, {outside:.0%} outside the linears", total, place)
        axes.set_yticks(range(len(encoders)), list(encoders))
        axes.invert_yaxis()
        axes.set_xlim(0, longest * 1.5)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("milliseconds in kernels per inference")
        axes.set_title(SCOPE_LABELS[scope])
    spoken = "; ".join(
        f"{block}: {', '.join(f'{name} {three_digits(ms)}' for name, ms in segments.items())}"
        for block, segments in encoders.items()
    )
    caption = (
        "Blue: linears, pale blue: attention, orange: everything else, in the order layer norm, GELU, embedding, "
        "layout, other. Kernels are timed one by one inside whole inferences; bars add up their medians."
    )
    return Drawing([figure], f"{SCOPE_LABELS[scope]}, milliseconds in kernels: {spoken}.", caption)


def _segments(kinds: pd.DataFrame, scope: str) -> dict[str, pd.Series]:
    """Return block -> segment -> milliseconds, in the order in which they are drawn."""
    if not len(kinds):
        return {}
    rows = kinds[(kinds["engine"] == OUR_DENSE) | (kinds["stored_scope"] == scope)]
    names = rows["function_kind"].mask(rows["function_kind"].isin(LINEARS), ALL_LINEARS)
    order = pd.Categorical(names, [ALL_LINEARS, *(kind for kind in KERNEL_KINDS if kind not in LINEARS)])
    sums = rows.assign(segment=order).groupby(["stored_block", "segment"], observed=True)["ms"].sum()
    return {block: sums[block] for block in sorted(rows["stored_block"].unique(), key=shape_order)}
