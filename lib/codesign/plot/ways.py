"""What a naive timing protocol makes of two engines, beside ours and the truth."""

from __future__ import annotations

from collections.abc import Sequence

from codesign.answers.words import ENGINE_LABELS
from codesign.plot.look import BLUE, INK, ORANGE, Drawing, at_end, panel
from codesign.schema import Record
from codesign.study.ways import WAY_LABELS, distortions


def ways(records: Sequence[Record]) -> Drawing:
    """Draw, for each engine of a comparison, its time in each way of taking turns, in units of its time alone.

    Parameters
    ----------
    records
        The `protocol` records of one comparison.
    """
    rows = [
        (ENGINE_LABELS[row["engine"]], way, row[way])
        for row in (distortions(records) if records else ())
        for way in ("naive", "turns")
    ]
    with panel(width=5.6, height=0.8 + 0.3 * max(len(rows), 1)) as (figure, axes):
        for place, (_, way, factor) in enumerate(rows):
            axes.barh(place, factor, height=0.7, color=BLUE if way == "turns" else ORANGE)
            at_end(axes, f"{factor:.2f}", factor, place)
        axes.axvline(1, color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
        axes.set_yticks(range(len(rows)), [f"{engine}, {WAY_LABELS[way]}" for engine, way, _ in rows])
        axes.invert_yaxis()
        axes.set_xlim(0, max((factor for _, _, factor in rows), default=1.0) * 1.15)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("median time, in units of the time alone (one is the truth)")
    listing = "; ".join(f"{engine}, {WAY_LABELS[way]}: {factor:.2f}" for engine, way, factor in rows)
    alt = f"Median time in units of the time alone: {listing}." if rows else "No protocols have been compared."
    caption = "Orange: engines called once each in turn. Blue: turns that start with calls thrown away."
    return Drawing([figure] if rows else [], alt, caption)
