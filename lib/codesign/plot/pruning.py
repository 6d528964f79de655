"""What pruning by block looks like, and what it costs before any timing: the norm that survives."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap

from codesign.answers.frames import by_shape, newest, where
from codesign.plot.charts import bars, framed, spoken
from codesign.plot.look import BLUE, INK, Drawing, panel


def masks(weights: Mapping[str, np.ndarray], crop: int = 64) -> Drawing:
    """Draw one small panel a block shape; a filled square is a weight that was kept.

    Parameters
    ----------
    weights
        Block shape -> float array [out, in], zero where pruned.
    crop
        Side of the corner that is shown, in weights.
    """
    panels = []
    for block, weight in weights.items():
        kept = (np.asarray(weight)[:crop, :crop] != 0).astype(float)
        with panel(width=1.75, height=1.95) as (figure, axes):
            axes.imshow(kept, cmap=ListedColormap(["#00000000", BLUE]), vmin=0, vmax=1, interpolation="nearest")
            axes.set(title=block, xticks=[], yticks=[], xlabel="input features", ylabel="output features")
            framed(axes)
        panels.append(figure)
    alt = f"The first {crop} by {crop} weights of one matrix, pruned with block shapes {', '.join(weights)}."
    return Drawing(panels, alt, "The same corner of one weight matrix. Blue weights were kept, the rest are zero.")


def retained_norm(patterns: pd.DataFrame, scope: str = "attention") -> Drawing:
    """Draw, for one scope, the share of the weights' L2 norm that each block shape keeps.

    Parameters
    ----------
    patterns
        Pattern records; the newest of each shape counts.
    scope
        Which weights were pruned.
    """
    kept = where(patterns, scope=scope)
    kept = by_shape(newest(kept[kept["block"] != "dense"], ["block"]))
    alt = f"Norm kept after pruning, by block shape: {spoken(kept, '{block} {retained_l2:.0%}', ', ')}."
    caption = "The finer the block, the freer the choice of weights, and the more of their norm survives."
    if not len(kept):
        return Drawing([], alt, caption)
    rows = kept.sort_values("retained_l2", ascending=False, kind="stable", ignore_index=True)
    rows = rows.assign(label=rows["block"], value=rows["retained_l2"], text=rows["retained_l2"].map("{:.0%}".format))
    rows["kind"] = ["best" if place == 0 else "ours" for place in rows.index]
    xlabel = "share of the weights' L2 norm that is kept (more is better)"
    figure, axes = bars(rows, title="", xlabel=xlabel, limit=1.08, width=5.6)
    axes.axvline(1, color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
    return Drawing([figure], alt, caption)
