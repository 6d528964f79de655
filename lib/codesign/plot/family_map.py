"""Which schedule family is fastest for each block shape, with how many tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from codesign.plot.look import BLUE, INK, ORANGE, SKY, Drawing, at_end, panel

_COLOURS = (BLUE, ORANGE, SKY, INK)


def family_map(rows: Sequence[Mapping[str, Any]]) -> Drawing:
    """Draw one panel a matrix and load, one row a block shape, one mark a family: the share of the ceiling it reaches.

    Parameters
    ----------
    rows
        From `codesign.study.kernel_views.family_rows`.
    """
    matrices = list(dict.fromkeys(row["matrix"] for row in rows))
    families = list(dict.fromkeys(row["family"] for row in rows))
    colours = dict(zip(families, _COLOURS, strict=False))
    panels = [_panel(matrix, [row for row in rows if row["matrix"] == matrix], colours) for matrix in matrices]
    alt = " ".join(_sentence(matrix, [row for row in rows if row["matrix"] == matrix]) for matrix in matrices)
    return Drawing(
        panels,
        alt or "No kernel has been measured on this machine.",
        "Share of the FMA ceiling that the best schedule of each family reaches. Where a family has no mark it cannot "
        "compute the shape. The name of the fastest stands at the right.",
    )


def _panel(matrix: Any, rows: Sequence[Mapping[str, Any]], colours: Mapping[str, str]) -> Figure:
    blocks = list(dict.fromkeys(row["block"] for row in rows))
    with panel(width=4.4, height=0.8 + 0.28 * len(blocks)) as (figure, axes):
        for place, block in enumerate(blocks):
            mine = [row for row in rows if row["block"] == block]
            axes.plot([0, max(row["share"] for row in mine)], 2 * [place], color=INK, linewidth=0.5, alpha=0.5)
            for row in mine:
                axes.plot(row["share"], place, "o", color=colours[row["family"]], markersize=7)
            best = max(mine, key=lambda row: row["share"])
            at_end(axes, f"{best['family']} {best['share']:.0%}", best["share"], place)
        axes.set_yticks(range(len(blocks)), blocks)
        axes.set_ylim(len(blocks) - 0.4, -0.6)
        axes.set_xlim(0, 1.6)
        axes.set_xticks([0, 0.5, 1])
        axes.xaxis.set_major_formatter("{x:.0%}")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("share of the FMA ceiling")
        axes.set_title(f"{matrix.size}, {matrix.tokens} tokens")
    return figure


def _sentence(matrix: Any, rows: Sequence[Mapping[str, Any]]) -> str:
    listed = ", ".join(f"{row['block']} {row['family']} {row['share']:.0%}" for row in rows)
    return f"{matrix.size} with {matrix.tokens} tokens, share of the FMA ceiling by family: {listed}."
