"""Encoders compiled in two ways, timed in one session: a pair of bars for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from codesign.study.figures.drawing import BLUE, SKY, Drawing, at_end, panel
from codesign.study.words import three_digits, times


def pairs(
    rows: Sequence[Mapping[str, Any]], sides: Mapping[str, tuple[str, str]], *, title: str, alt: str, caption: str
) -> Drawing:
    """Draw the bars; the second of a pair says how many times faster it is.

    Parameters
    ----------
    rows
        With ``block``, milliseconds by the keys of ``sides`` (absent where there is none), and ``gain`` of the second.
    sides
        Two keys of the rows: the words beside a bar, and those of the text for who cannot see it.
    title, alt, caption
        The text begins with ``alt`` and goes on with the numbers.
    """
    longest = max(row[key] for row in rows for key in sides if key in row)
    with panel(width=5.6, height=0.9 + 0.46 * len(rows)) as (figure, axes):
        for place, row in enumerate(rows):
            for offset, key, colour in zip((-0.19, 0.19), sides, (SKY, BLUE), strict=True):
                if key not in row:
                    continue
                axes.barh(place + offset, row[key], height=0.36, color=colour)
                faster = f": {times(row['gain'])}" if key == list(sides)[1] else ""
                at_end(
                    axes, f"{three_digits(row[key])} ms, {sides[key][0]}{faster}", row[key], place + offset, fontsize=8
                )
        axes.set_yticks(range(len(rows)), [row["block"] for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(0, longest * 1.5)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("milliseconds per inference")
        axes.set_title(title)
    listed = "; ".join(
        f"{row['block']} " + ", ".join(f"{row[key]:.1f} {sides[key][1]}" for key in sides if key in row) for row in rows
    )
    return Drawing([figure], f"{alt}: {listed}.", caption)
