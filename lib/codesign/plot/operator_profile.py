"""Where an inference spends its time: one bar an encoder, one segment a kind of kernel."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.axes import Axes

from codesign.answers.words import SCOPE_LABELS, shape_order, three_digits
from codesign.plot.look import BLUE, INK, ON_ORANGE, ORANGE, PAPER, SKY, Drawing, at_end, panel
from codesign.schema import KERNEL_KINDS, LINEARS, Record
from codesign.study.evidence import newest_profiles
from codesign.study.profiles import by_kind, outside_linears

#: Segment -> colour, and the colour of its label. All linears are one segment.
COLOURS = {"linears": (BLUE, PAPER), "attention": (SKY, INK)}
REST = (ORANGE, ON_ORANGE)
#: Width of a letter as a share of the axis: a label that does not fit its segment is left out.
LETTER = 0.014

Segments = dict[str, float]  # name -> milliseconds
Row = tuple[str, Segments, float]  # block, segments, share outside the linears


def operator_profile(records: Iterable[Record], scope: str = "all") -> Drawing:
    """Draw one bar for each block shape of a scope, and one for the dense encoder.

    Parameters
    ----------
    records
        Profile records of one operating point; of each encoder the newest run counts.
    scope
        Which weights were pruned.
    """
    encoders = {
        block: found
        for (engine, where, block), found in newest_profiles(records).items()
        if (engine, where) in (("tvm-dense", "none"), ("tvm-bsr", scope))
    }
    rows = [_row(block, encoders[block]) for block in sorted(encoders, key=shape_order)]
    longest = max((sum(segments.values()) for _, segments, _ in rows), default=1.0)
    with panel(width=6.4, height=0.75 + 0.34 * max(len(rows), 1)) as (figure, axes):
        for place, (_, segments, outside) in enumerate(rows):
            _bar(axes, place, segments, longest)
            total = sum(segments.values())
            at_end(axes, f"{three_digits(total)} ms, {outside:.0%} outside the linears", total, place)
        axes.set_yticks(range(len(rows)), [block for block, _, _ in rows])
        axes.invert_yaxis()
        axes.set_xlim(0, longest * 1.5)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("milliseconds in kernels per inference")
        axes.set_title(SCOPE_LABELS[scope])
    alt = f"{SCOPE_LABELS[scope]}, milliseconds in kernels: {'; '.join(map(_sentence, rows))}."
    caption = (
        "Blue: linears, pale blue: attention, orange: everything else, in the order layer norm, GELU, embedding, "
        "layout, other. Kernels are timed one by one inside whole inferences; bars add up their medians."
    )
    return Drawing([figure], alt, caption) if rows else Drawing([], "No encoder has been profiled for this figure.")


def _row(block: str, records: list[Record]) -> Row:
    times = by_kind(records)
    segments = {"linears": sum(times.get(kind, 0.0) for kind in LINEARS) / 1e6}
    segments |= {kind: times[kind] / 1e6 for kind in KERNEL_KINDS if kind in times and kind not in LINEARS}
    return block, segments, outside_linears(records)


def _bar(axes: Axes, place: int, segments: Segments, longest: float) -> None:
    start = 0.0
    for name, milliseconds in segments.items():
        colour, ink = COLOURS.get(name, REST)
        axes.barh(place, milliseconds, left=start, height=0.74, color=colour, edgecolor=PAPER, linewidth=1)
        if milliseconds / longest > LETTER * (len(name) + 2):
            axes.text(start + milliseconds / 2, place, name, ha="center", va="center", color=ink)
        start += milliseconds


def _sentence(row: Row) -> str:
    block, segments, _ = row
    parts = ", ".join(f"{name} {three_digits(milliseconds)}" for name, milliseconds in segments.items())
    return f"{block}: {parts}"
