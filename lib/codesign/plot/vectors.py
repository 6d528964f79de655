"""What the width of vectors does to each encoder: its time with narrow and with wide ones."""

from __future__ import annotations

import pandas as pd

from codesign.answers.vectors import NARROW
from codesign.isa import NATIVE
from codesign.plot.grouped import grouped
from codesign.plot.look import Drawing


def vectors(gains: pd.DataFrame) -> Drawing:
    """Draw a pair of bars for each encoder: compiled for AVX2, and for the machine's own instruction set.

    Parameters
    ----------
    gains
        From `codesign.answers.vectors.gains`.
    """
    if not len(gains):
        return Drawing([], "No session with two instruction sets has been measured on this machine.")
    return grouped(
        [{**row, "gains": {NATIVE: row["gain"]}} for row in gains.to_dict("records")],
        {NARROW: ("AVX2", "ms with AVX2"), NATIVE: ("own", "with its own")},
        title="Compiled for AVX2, and for the machine's own vectors",
        alt="Two instruction sets",
        caption="Medians of one session. Each encoder was tuned for each instruction set: best against best.",
    )
