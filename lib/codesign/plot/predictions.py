"""What arithmetic predicts for a kernel, beside what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from codesign.plot.look import BLUE, INK, ORANGE, SKY, Drawing, panel
from codesign.study.kernel_views import STATES, State

#: Misses from which on a point is named in the figure.
_NAMED = 0.15


def predictions(rows: Sequence[Mapping[str, Any]]) -> Drawing:
    """Draw measured against predicted share of the ceiling, a panel hot and a panel cold; a point on the line is right.

    Parameters
    ----------
    rows
        From `codesign.study.roofline.prediction_rows`.
    """
    panels = [_panel(state, found) for state in STATES if (found := [row for row in rows if row["state"] == state])]
    alt = " ".join(_sentence(state, [row for row in rows if row["state"] == state]) for state in STATES if rows)
    return Drawing(
        panels,
        alt or "No kernel with a prediction has been measured on this machine.",
        "Each point is the fastest kernel of a block shape and matrix. On the line, the prediction was right; below "
        "it, the kernel is slower than the model's bounds explain. Blue: bound by the ports; orange: by a bandwidth. "
        f"Misses above {_NAMED:.0%} are named.",
    )


def _panel(state: State, rows: Sequence[Mapping[str, Any]]) -> Figure:
    with panel(width=3.8, height=3.6) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8)
        for row in rows:
            colour = ORANGE if row["bound"].startswith("bandwidth") else BLUE
            axes.plot(row["predicted"], row["measured"], "o", color=colour, markersize=5, markeredgecolor=SKY)
            if abs(row["off"]) > _NAMED:
                axes.annotate(
                    row["block"], (row["predicted"], row["measured"]), (6, 0), textcoords="offset points", va="center"
                )
        axes.set_xlim(0, 1.1)
        axes.set_ylim(0, 1.1)
        axes.xaxis.set_major_formatter("{x:.0%}")
        axes.yaxis.set_major_formatter("{x:.0%}")
        axes.tick_params(axis="y", length=3)
        axes.set_xlabel("predicted share of the FMA ceiling")
        axes.set_ylabel("measured")
        axes.set_title(f"weights {state}")
    return figure


def _sentence(state: State, rows: Sequence[Mapping[str, Any]]) -> str:
    worst = sorted(rows, key=lambda row: -abs(row["off"]))[:3]
    near = sum(abs(row["off"]) <= _NAMED for row in rows)
    named = "; ".join(
        f"{row['matrix'].size} {row['block']} predicted {row['predicted']:.0%}, measured {row['measured']:.0%}"
        for row in worst
    )
    return f"Weights {state}: {near} of {len(rows)} predictions within {_NAMED:.0%}; furthest off: {named}."
