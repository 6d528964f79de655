"""A shape that you tried, among the ones that were measured for the book."""

from __future__ import annotations

from collections.abc import Iterable

from codesign.measure.ratios import Ratio, ratio
from codesign.schema import Record
from codesign.study.evidence import newest_latencies
from codesign.study.figures.drawing import BLUE, INK, ORANGE, SKY, Drawing, at_end, panel
from codesign.study.words import SCOPE_LABELS, shape_order

REFERENCE_ENGINE = ("tvm-dense", "none", "dense")


def your_shape(local: Iterable[Record], reference: Iterable[Record], scope: str = "attention") -> Drawing:
    """Draw the gain over our own dense engine, local shapes beside the book's.

    Gains are compared, not milliseconds: each is a ratio inside one session, so two machines fit on one axis.

    Parameters
    ----------
    local, reference
        Latency records of this machine and of the book.
    scope
        Which weights were pruned.
    """
    rows = [(f"{block} (here)", BLUE, gain) for block, gain in gains(local, scope)]
    rows += [(f"{block} (book)", SKY, gain) for block, gain in gains(reference, scope)]
    with panel(width=5.6, height=0.8 + 0.26 * max(len(rows), 1)) as (figure, axes):
        for place, (_, colour, gain) in enumerate(rows):
            axes.barh(place, gain.value, height=0.72, color=colour)
            axes.plot([gain.low, gain.high], [place, place], color=INK, linewidth=1.2)
            at_end(axes, f"{gain.value:.2f}", gain.high, place)
        axes.axvline(1, color=ORANGE, linewidth=1.2)
        axes.set_yticks(range(len(rows)), [label for label, _, _ in rows])
        axes.invert_yaxis()
        axes.set_xlim(0, max((gain.high for _, _, gain in rows), default=1.0) * 1.15)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("times faster than our dense engine (more is better)")
        axes.set_title(SCOPE_LABELS[scope])
    listing = ", ".join(f"{label} {gain.value:.2f}" for label, _, gain in rows)
    alt = f"Gain over our own dense engine: {listing}." if rows else "No shape has been tried on this machine yet."
    caption = "Dark blue was measured here, light blue is the book. Left of the orange line, pruning lost."
    return Drawing([figure] if rows else [], alt, caption)


def gains(records: Iterable[Record], scope: str) -> list[tuple[str, Ratio]]:
    """Return (block, gain over the dense engine of the same session) for every sparse record of ``scope``."""
    records = list(records)
    found = []
    for (engine, where, block), record in newest_latencies(records).items():
        if (engine, where) != ("tvm-bsr", scope):
            continue
        session = newest_latencies(r for r in records if r["session_id"] == record["session_id"])
        if REFERENCE_ENGINE in session:
            found.append((block, ratio(session[REFERENCE_ENGINE], record)))
    return sorted(found, key=lambda row: shape_order(row[0]))
