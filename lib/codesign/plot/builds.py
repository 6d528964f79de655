"""Encoders built in several ways, timed in one session: in other layouts, and for narrower vectors."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from codesign.answers.builds import NARROW, compared, sides
from codesign.answers.words import three_digits, times
from codesign.engines import FORMATS, LAYOUTS
from codesign.isa import NATIVE
from codesign.plot.charts import named_rows
from codesign.plot.look import BLUE, ORANGE, SKY, Drawing, at_end


def layouts(sides: pd.DataFrame) -> Drawing:
    """Draw a group of bars for each encoder, one a layout that it has.

    Parameters
    ----------
    sides
        From `codesign.answers.builds.sides`, by layout.
    """
    if not len(sides):
        return Drawing([], "No session with several layouts has been measured on this machine.")
    return _grouped(
        compared(sides),
        {layout: (layout, layout) for layout in LAYOUTS},
        title="Whole blocks, strips, and token-major",
        alt="Milliseconds by layout",
        caption="Medians of one session. Each encoder was tuned in each way: best against best. Strips are compared "
        "with whole blocks, token-major activations with strips.",
    )


def vectors(sides: pd.DataFrame) -> Drawing:
    """Draw a pair of bars for each encoder: compiled for AVX2, and for the machine's own instruction set.

    Parameters
    ----------
    sides
        From `codesign.answers.builds.sides`, by instruction set.
    """
    if not len(both := sides.dropna()):
        return Drawing([], "No session with two instruction sets has been measured on this machine.")
    return _grouped(
        compared(both),
        {NARROW: ("AVX2", "ms with AVX2"), NATIVE: ("own", "with its own")},
        title="Compiled for AVX2, and for the machine's own vectors",
        alt="Two instruction sets",
        caption="Medians of one session. Each encoder was tuned for each instruction set: best against best.",
    )


def formats(timed: pd.DataFrame) -> Drawing:
    """Draw a panel a machine with a pair of bars for each encoder: its linears in float32, and in int8.

    Parameters
    ----------
    timed
        From `codesign.answers.machines.in_formats`.
    """
    found = {name: sides(rows, "format") for name, rows in timed.groupby("machine", sort=False)}
    drawn = [
        _grouped(
            compared(both),
            {name: (name, f"ms in {name}") for name in FORMATS},
            title=str(machine),
            alt=str(machine),
            caption="Medians of one session on each machine, with the linears in float32 and in int8. Each encoder was "
            "tuned in each format: best against best.",
        )
        for machine, each in found.items()
        if len(both := each.dropna())
    ]
    if not drawn:
        return Drawing([], "No session with several number formats has been measured.")
    panels = [panel for drawing in drawn for panel in drawing.panels]
    return Drawing(panels, " ".join(drawing.alt for drawing in drawn), drawn[0].caption)


def _grouped(rows: pd.DataFrame, ways: Mapping[str, tuple[str, str]], *, title: str, alt: str, caption: str) -> Drawing:
    """Draw a group of bars a block shape; ``ways`` has the words beside a bar, and those for who cannot see it."""
    groups = dict(list(rows.groupby("block", sort=False)))
    height, colours = 0.76 / len(ways), dict(zip(ways, (SKY, BLUE, ORANGE), strict=False))
    limit, label = 1.5 * rows["ms"].max(), "milliseconds per inference"
    with named_rows(list(groups), title=title, xlabel=label, limit=limit, width=5.6, row=0.23 * len(ways)) as (
        figure,
        axes,
    ):
        for place, group in enumerate(groups.values()):
            for row in group.itertuples():
                at = place + (list(ways).index(row.way) - (len(ways) - 1) / 2) * height
                axes.barh(at, row.ms, height=0.95 * height, color=colours[row.way])
                faster = f": {times(row.gain)}" if row.gain else ""
                at_end(axes, f"{three_digits(row.ms)} ms, {ways[row.way][0]}{faster}", row.ms, at, fontsize=8)
    said = (
        f"{block} " + ", ".join(f"{row.ms:.1f} {ways[row.way][1]}" for row in group.itertuples())
        for block, group in groups.items()
    )
    return Drawing([figure], f"{alt}: {'; '.join(said)}.", caption)
