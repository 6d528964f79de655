"""What the layout of weights and activations does to each encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from codesign.plot.grouped import grouped
from codesign.plot.look import Drawing
from codesign.study.comparisons import LAYOUTS


def layouts(rows: Sequence[Mapping[str, Any]]) -> Drawing:
    """Draw a group of bars for each encoder: one a way that it has.

    Parameters
    ----------
    rows
        From `codesign.study.layout_views.layout_rows`.
    """
    if not rows:
        return Drawing([], "No session with several layouts has been measured on this machine.")
    return grouped(
        rows,
        {way: (way, way) for way in LAYOUTS},
        title="Whole blocks, strips, and token-major",
        alt="Milliseconds by layout",
        caption="Medians of one session. Each encoder was tuned in each way: best against best. Strips are compared "
        "with whole blocks, token-major activations with strips.",
    )
