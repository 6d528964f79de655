"""What the width of vectors does to each encoder: its time with narrow and with wide ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from codesign.study.figures.drawing import BLUE, SKY, Drawing, at_end, panel
from codesign.study.words import three_digits, times


def vectors(rows: Sequence[Mapping[str, Any]]) -> Drawing:
    """Draw a pair of bars for each encoder: compiled for AVX2, and for the machine's own instruction set.

    Parameters
    ----------
    rows
        From `codesign.study.vector_views.vector_rows`.
    """
    if not rows:
        return Drawing([], "No session with two instruction sets has been measured on this machine.")
    longest = max(max(row["avx2"], row["native"]) for row in rows)
    with panel(width=5.6, height=0.9 + 0.46 * len(rows)) as (figure, axes):
        for place, row in enumerate(rows):
            for offset, isa, colour in ((-0.19, "avx2", SKY), (0.19, "native", BLUE)):
                axes.barh(place + offset, row[isa], height=0.36, color=colour)
            at_end(axes, f"{three_digits(row['avx2'])} ms, AVX2", row["avx2"], place - 0.19, fontsize=8)
            label = f"{three_digits(row['native'])} ms, own: {times(row['gain'])}"
            at_end(axes, label, row["native"], place + 0.19, fontsize=8)
        axes.set_yticks(range(len(rows)), [row["block"] for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(0, longest * 1.5)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("milliseconds per inference")
        axes.set_title("Compiled for AVX2, and for the machine's own vectors")
    listed = "; ".join(f"{r['block']} {r['avx2']:.1f} ms with AVX2, {r['native']:.1f} with its own" for r in rows)
    caption = "Medians of one session. Each encoder was tuned for each instruction set: best against best."
    return Drawing([figure], f"Two instruction sets: {listed}.", caption)
