"""A shape that you tried, among the ones that were measured for the book."""

from __future__ import annotations

from collections.abc import Iterable

from codesign.answers.words import SCOPE_LABELS, shape_order
from codesign.measure.ratios import Ratio, ratio
from codesign.plot.look import BLUE, INK, ORANGE, SKY, Drawing, at_end, panel
from codesign.schema import Record
from codesign.study.evidence import newest_latencies

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
    rows = [(f"{label}, here", BLUE, gain) for label, gain in gains(local, scope)]
    rows += [(f"{label}, book", SKY, gain) for label, gain in gains(reference, scope)]
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
    caption = "Strong blue was measured here, pale blue is the book. Left of the orange line, pruning lost."
    return Drawing([figure] if rows else [], alt, caption)


def gains(records: Iterable[Record], scope: str) -> list[tuple[str, Ratio]]:
    """Return, for each sparse record of ``scope``, its label and its gain over the dense engine of its session."""
    sessions: dict[str, list[Record]] = {}
    for record in records:
        sessions.setdefault(record["session_id"], []).append(record)
    found = {}
    for session in map(newest_latencies, sessions.values()):
        dense = session.get(REFERENCE_ENGINE)
        for (engine, where, block), record in session.items():
            if dense and (engine, where) == ("tvm-bsr", scope):
                found[block, record["sparsity"]] = ratio(dense, record)
    ranked = sorted(found, key=lambda key: (shape_order(key[0]), key[1]))
    return [(f"{block} at {sparsity:.0%}", found[block, sparsity]) for block, sparsity in ranked]
