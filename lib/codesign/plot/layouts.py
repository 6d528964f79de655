"""What the layout of weights and activations does to each encoder."""

from __future__ import annotations

import pandas as pd

from codesign.answers.frames import median_ms
from codesign.answers.layouts import OVER
from codesign.measure.ratios import ratio
from codesign.plot.grouped import grouped
from codesign.plot.look import Drawing
from codesign.study.comparisons import LAYOUTS


def layouts(sides: pd.DataFrame) -> Drawing:
    """Draw a group of bars for each encoder: one a layout that it has.

    Parameters
    ----------
    sides
        From `codesign.answers.layouts.sides`.
    """
    if not len(sides):
        return Drawing([], "No session with several layouts has been measured on this machine.")
    rows = []
    for block, side in sides.iterrows():
        timed = side.dropna()
        gains = {w: ratio(timed[than], timed[w]) for w, than in OVER.items() if {w, than} <= set(timed.index)}
        rows.append({"block": block, "gains": gains, **{w: median_ms(record).value for w, record in timed.items()}})
    return grouped(
        rows,
        {layout: (layout, layout) for layout in LAYOUTS},
        title="Whole blocks, strips, and token-major",
        alt="Milliseconds by layout",
        caption="Medians of one session. Each encoder was tuned in each way: best against best. Strips are compared "
        "with whole blocks, token-major activations with strips.",
    )
