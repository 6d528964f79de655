"""Encoders compiled in several ways, timed in one session: a group of bars for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from codesign.answers.words import three_digits, times
from codesign.plot.look import BLUE, ORANGE, SKY, Drawing, at_end, panel

#: Of the bars of a group, by how many there are.
COLOURS = {2: (SKY, BLUE), 3: (SKY, BLUE, ORANGE)}


def grouped(
    rows: Sequence[Mapping[str, Any]], ways: Mapping[str, tuple[str, str]], *, title: str, alt: str, caption: str
) -> Drawing:
    """Draw the bars; all but the first of a group say how many times faster they are than that.

    Parameters
    ----------
    rows
        With ``block``, milliseconds by the keys of ``ways`` (absent where there are none), and ``gains`` by those keys.
    ways
        Keys of the rows: the words beside a bar, and those of the text for who cannot see it.
    title, alt, caption
        The text begins with ``alt`` and goes on with the numbers.
    """
    longest = max(row[key] for row in rows for key in ways if key in row)
    height = 0.76 / len(ways)
    with panel(width=5.6, height=0.9 + 0.23 * len(ways) * len(rows)) as (figure, axes):
        for place, row in enumerate(rows):
            for number, (key, colour) in enumerate(zip(ways, COLOURS[len(ways)], strict=True)):
                if key not in row:
                    continue
                at = place + (number - (len(ways) - 1) / 2) * height
                axes.barh(at, row[key], height=0.95 * height, color=colour)
                faster = f": {times(row['gains'][key])}" if key in row["gains"] else ""
                at_end(axes, f"{three_digits(row[key])} ms, {ways[key][0]}{faster}", row[key], at, fontsize=8)
        axes.set_yticks(range(len(rows)), [row["block"] for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(0, longest * 1.5)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("milliseconds per inference")
        axes.set_title(title)
    listed = "; ".join(
        f"{row['block']} " + ", ".join(f"{row[key]:.1f} {ways[key][1]}" for key in ways if key in row) for row in rows
    )
    return Drawing([figure], f"{alt}: {listed}.", caption)
