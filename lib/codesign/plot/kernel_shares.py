"""How near the machine's limit the best kernel of each block shape runs, with its weights hot and cold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from codesign.plot.look import BLUE, INK, ORANGE, SKY, Drawing, at_end, panel


def kernel_shares(rows: Sequence[Mapping[str, Any]]) -> Drawing:
    """Draw one panel a matrix, one row a block shape: the share of the FMA ceiling, a bar hot and a mark cold.

    Parameters
    ----------
    rows
        From `codesign.study.kernel_views.share_rows`.
    """
    matrices = list(dict.fromkeys(row["matrix"] for row in rows))
    groups = {matrix: [row for row in rows if row["matrix"] == matrix] for matrix in matrices}
    panels = [_panel(_title(matrix), found) for matrix, found in groups.items()]
    alt = " ".join(_sentence(_title(matrix), found) for matrix, found in groups.items())
    return Drawing(
        panels,
        alt or "No kernel has been measured on this machine.",
        "Useful multiply-adds of the fastest kernel of each block shape, as a share of the rate that the same cores "
        "reach in registers. Bars: weights hot, used again and again. Orange marks: weights cold, rotated through "
        "copies. The thin line is the ceiling.",
    )


def _title(matrix: Any) -> str:
    return f"{matrix.size}, {matrix.tokens} tokens, {matrix.isa}"


def _panel(title: str, rows: Sequence[Mapping[str, Any]]) -> Figure:
    with panel(width=3.6, height=0.8 + 0.28 * len(rows)) as (figure, axes):
        for place, row in enumerate(rows):
            colour = SKY if row["block"] == "dense" else BLUE
            axes.barh(place, row["hot"], height=0.7, color=colour)
            axes.plot(2 * [row["cold"]], [place - 0.38, place + 0.38], color=ORANGE, linewidth=2.4)
            at_end(axes, f"{row['hot']:.0%}", max(row["hot"], row["cold"]), place)
        axes.axvline(1, color=INK, linewidth=0.8)
        axes.set_yticks(range(len(rows)), [row["block"] for row in rows])
        axes.invert_yaxis()
        axes.set_xlim(0, 1.18)
        axes.set_xticks([0, 0.5, 1])
        axes.xaxis.set_major_formatter("{x:.0%}")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("share of the FMA ceiling")
        axes.set_title(title)
    return figure


def _sentence(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    listed = ", ".join(f"{row['block']} {row['hot']:.0%} hot and {row['cold']:.0%} cold" for row in rows)
    return f"{title}, share of the FMA ceiling: {listed}."
