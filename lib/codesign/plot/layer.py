"""A pruned layer as a kernel finds it: the blocks that are stored, the arrays that hold them, and the inner loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from codesign.answers.roofline import BOUNDS, LOAD_PORTS, bound
from codesign.plot.charts import framed, named_rows, spoken, stacked
from codesign.plot.look import BLUE, INK, ON_ORANGE, ORANGE, PAPER, SKY, Drawing, at_end, panel
from codesign.schema import Record

#: Colours of a block that is not stored, one that is, and one in the block-row that is followed.
_STORED = ListedColormap(["#00000000", BLUE, ORANGE])
_SHOWN = 8  # blocks of the block-row that are followed into the arrays
_CELL_ROWS = 4  # rows of a block whose values are written out
#: What the load ports are busy with, and the colours of the segments: the field of the counts.
_LOADS = {"broadcast": (ORANGE, ON_ORANGE), "load": (SKY, ON_ORANGE), "index": (INK, PAPER)}


def pattern_of(listing: Record) -> np.ndarray:
    """Return which blocks of the first block-rows are stored, bool[block-rows, block-columns]."""
    columns = -(-listing["operator"]["inputs"] // listing["operator"]["cols"])
    rows = [np.frombuffer(bytes.fromhex(line), np.uint8) for line in listing["pattern"]]
    return np.unpackbits(np.stack(rows), axis=1)[:, :columns].astype(bool)


def layer_matrix(listing: Record) -> Drawing:
    """Draw the stored blocks of a layer with one block-row picked out, and the beginning of that one enlarged.

    Parameters
    ----------
    listing
        A `listing` record.
    """
    stored, picked, sizes = pattern_of(listing), listing["block_row"], listing["operator"]
    panels = [_whole(listing, stored), _corner(listing, stored)]
    outputs = min(len(stored) * sizes["rows"], sizes["outputs"])
    alt = (
        f"The first {outputs} of {sizes['outputs']} rows of {listing['layer']}, {sizes['inputs']} columns wide, in "
        f"{listing['block']} blocks: {stored.sum()} of {stored.size} blocks are stored, {stored[picked].sum()} of them "
        f"in block-row {picked}, which is picked out."
    )
    caption = (
        f"Left: every stored block of the weight, one block-row in orange. Right: where that block-row begins. The "
        f"numbers count stored blocks from the top of the matrix; each is {sizes['rows']} outputs high and "
        f"{sizes['cols']} {'inputs' if sizes['cols'] > 1 else 'input'} wide."
    )
    return Drawing(panels, alt, caption)


def _whole(listing: Record, stored: np.ndarray) -> Figure:
    sizes, picked = listing["operator"], listing["block_row"]
    height, width = len(stored) * sizes["rows"], sizes["inputs"]
    cells = stored.astype(int)
    cells[picked] *= 2
    with panel(width=3.5, height=0.75 + 2.9 * min(1.0, max(height / width, 0.12))) as (figure, axes):
        extent = (0, width, height, 0)
        axes.imshow(cells, cmap=_STORED, vmin=0, vmax=2, interpolation="none", extent=extent, aspect="auto")
        for edge in (picked, picked + 1):
            axes.axhline(edge * sizes["rows"], color=ORANGE, linewidth=0.8)
        framed(axes)
        axes.set(title="the layer", xlabel="input features", ylabel="output features")
    return figure


def _corner(listing: Record, stored: np.ndarray) -> Figure:
    picked, first = listing["block_row"], listing["heads"]["indptr"][listing["block_row"]]
    columns = np.flatnonzero(stored[picked])[:_SHOWN]
    width = int(columns[-1]) + 2 if len(columns) else stored.shape[1]
    cells = pd.DataFrame(stored[:, :width].astype(int))
    numbers = pd.DataFrame("", cells.index, cells.columns, dtype=object)
    numbers.loc[picked, columns] = range(first, first + len(columns))
    cells.loc[picked] *= 2
    near = slice(max(picked - 1, 0), picked + 1)
    with panel(width=4.4, height=2.3) as (figure, axes):
        sns.heatmap(
            cells.loc[near], mask=cells.loc[near] == 0, cmap=_STORED, vmin=0, vmax=2, linewidths=1, linecolor=PAPER,
            annot=numbers.loc[near], fmt="", annot_kws={"rotation": 90, "fontsize": 7, "color": ON_ORANGE},
            cbar=False, xticklabels=5, ax=axes,
        )  # fmt: skip
        axes.tick_params(labelrotation=0)
        framed(axes)
        axes.set(title="where a block-row begins", xlabel="block-column", ylabel="block-row")
    return figure


def layer_arrays(listing: Record) -> Drawing:
    """Draw the beginning of the arrays that hold the block-row of `layer_matrix`.

    Parameters
    ----------
    listing
        A `listing` record.
    """
    heads, picked, shapes = listing["heads"], listing["block_row"], listing["arrays"]
    begin, end = heads["indptr"][picked : picked + 2]
    count = len(heads["indices"])
    rows = min(_CELL_ROWS, len(heads["data"][0]))
    with panel(width=5.6, height=2.5 + 0.25 * rows) as (figure, axes):
        _strip(axes, 0.0, "indptr", heads["indptr"], {picked, picked + 1})
        _strip(axes, 2.2, "indices", heads["indices"], set(range(count)))
        for row in range(rows):
            values = [f"{block[row]:.2f}" for block in heads["data"]]
            _strip(axes, 4.4 + row, "data" if row == 0 else "", values, set(range(count)))
        axes.text(0, 4.4 + rows + 0.15, _left(listing["operator"], rows), va="top", fontsize=7)
        arrow = {"arrowstyle": "->", "color": INK, "linewidth": 0.8}
        axes.annotate("", (0.5, 2.0), (picked + 0.5, 1.1), arrowprops=arrow)
        axes.text(picked + 1.2, 1.55, f"blocks {begin} to {end - 1}", fontsize=8, va="center")
        axes.annotate("", (0.5, 4.2), (0.5, 3.3), arrowprops=arrow)
        axes.text(0.8, 3.75, "the block-column of each, then its values", fontsize=8, va="center")
        axes.set_xlim(-1.7, 9.3)
        axes.set_ylim(4.4 + rows + 0.9, -0.3)
        axes.set_axis_off()
    said = [", ".join(map(str, each)) for each in (heads["indptr"], heads["indices"], heads["data"][0][:rows])]
    alt = (
        f"indptr begins {said[0]}: block-row {picked} holds the blocks from {begin} to before {end}. Their "
        f"block-columns in indices begin {said[1]}. The values of the first block in data begin {said[2]}."
    )
    sizes = ", ".join(f"{name} {' x '.join(map(str, shape['shape']))}" for name, shape in shapes.items())
    caption = f"The arrays of the layer, with what belongs to the orange block-row in orange. Their shapes: {sizes}."
    return Drawing([figure], alt, caption)


def _left(operator: Mapping[str, Any], shown: int) -> str:
    """Say which rows of a block are not shown."""
    rows = operator["rows"]
    strip = operator.get("strip", rows)
    if strip == rows:
        return "" if shown == rows else f"… {rows} rows of each block"
    more = "" if shown == strip else f"… {strip} rows of each; "
    return f"{more}then the strips of the next {strip} rows, to row {rows}"


def _strip(axes: Axes, top: float, name: str, values: Sequence[object], marked: set[int]) -> None:
    """Draw one array as a row of boxes, those of ``marked`` in orange."""
    axes.text(-0.15, top + 0.5, name, ha="right", va="center", family="monospace")
    for at, value in enumerate(values):
        colour = ORANGE if at in marked else "none"
        axes.add_patch(Rectangle((at, top), 1, 1, facecolor=colour, edgecolor=INK, linewidth=0.6))
        ink = ON_ORANGE if at in marked else INK
        axes.text(at + 0.5, top + 0.5, str(value), ha="center", va="center", fontsize=7.5, color=ink)
    axes.text(len(values) + 0.2, top + 0.5, "…", va="center")


def inner_loops(loops: pd.DataFrame) -> Drawing:
    """Draw, for each block shape, the least cycles that its inner loop keeps the multiply-add and the load ports busy.

    Parameters
    ----------
    loops
        From `codesign.answers.roofline.loops`, one for each block shape.
    """
    said = (
        "{block}: {fma} multiply-adds take at least {cycles[fma]:g} cycles, {reads} loads ({broadcast} of one value to "
        "all lanes, {load} of a vector, {index} of an index) at least {cycles[load]:g}; bound by {bound}."
    )
    caption = (
        "Cycles of one pass of the inner loop if nothing but these ports were in the way. Blue: multiply-adds. Load "
        "ports: orange, one value copied to all lanes; light blue, a whole vector; dark, the index of a column."
    )
    longest = max(max(cycles.values()) for cycles in loops["cycles"])
    names = [name for block in loops["block"] for name in (f"{block}  FMA ports", "load ports", "")][:-1]
    label = "cycles a pass, at least"
    with named_rows(names, title="", xlabel=label, limit=1.5 * longest, width=5.0, row=0.28) as (figure, axes):
        for place, loop in zip(range(0, len(names), 3), loops.to_dict("records"), strict=True):
            cycles = loop["cycles"]
            stacked(axes, place, [(cycles["fma"], f"{loop['fma']} multiply-adds", BLUE, PAPER)], longest)
            loads = [(loop[load] / LOAD_PORTS, str(loop[load]), *colours) for load, colours in _LOADS.items()]
            stacked(axes, place + 1, loads, longest)
            end = bound(cycles)
            at_end(axes, f"bound by {BOUNDS[end]}", cycles[end], place + (end == "load"))
    return Drawing([figure], spoken(loops, said, " "), caption)
