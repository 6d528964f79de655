"""What the layout of activations does to each encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from codesign.study.figures.drawing import Drawing
from codesign.study.figures.pairs import pairs


def layouts(rows: Sequence[Mapping[str, Any]]) -> Drawing:
    """Draw a pair of bars for each encoder, feature-major and token-major; one bar where there is no token-major one.

    Parameters
    ----------
    rows
        From `codesign.study.layout_views.layout_rows`.
    """
    if not rows:
        return Drawing([], "No session with two layouts has been measured on this machine.")
    return pairs(
        rows,
        {"feature-major": ("feature-major",) * 2, "token-major": ("token-major",) * 2},
        title="Feature-major and token-major activations",
        alt="Milliseconds in two layouts of activations",
        caption="Medians of one session. Each encoder was tuned in each layout: best against best.",
    )
