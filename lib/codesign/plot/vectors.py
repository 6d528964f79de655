"""What the width of vectors does to each encoder: its time with narrow and with wide ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from codesign.plot.grouped import grouped
from codesign.plot.look import Drawing


def vectors(rows: Sequence[Mapping[str, Any]]) -> Drawing:
    """Draw a pair of bars for each encoder: compiled for AVX2, and for the machine's own instruction set.

    Parameters
    ----------
    rows
        From `codesign.study.vector_views.vector_rows`.
    """
    if not rows:
        return Drawing([], "No session with two instruction sets has been measured on this machine.")
    return grouped(
        [{**row, "gains": {"native": row["gain"]}} for row in rows],
        {"avx2": ("AVX2", "ms with AVX2"), "native": ("own", "with its own")},
        title="Compiled for AVX2, and for the machine's own vectors",
        alt="Two instruction sets",
        caption="Medians of one session. Each encoder was tuned for each instruction set: best against best.",
    )
