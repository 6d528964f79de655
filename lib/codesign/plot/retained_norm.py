"""What a block shape costs before any timing: how much of the weights' norm survives pruning."""

from __future__ import annotations

import pandas as pd

from codesign.answers.frames import by_shape, newest, where
from codesign.plot.charts import bars, spoken
from codesign.plot.look import INK, Drawing


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
    rows = kept.sort_values("retained_l2", ascending=False, kind="stable", ignore_index=True)
    rows = rows.assign(label=rows["block"], value=rows["retained_l2"], text=rows["retained_l2"].map("{:.0%}".format))
    rows["kind"] = ["best" if place == 0 else "ours" for place in rows.index]
    xlabel = "share of the weights' L2 norm that is kept (more is better)"
    alt = f"Norm kept after pruning, by block shape: {spoken(kept, '{block} {retained_l2:.0%}').replace(';', ',')}."
    caption = "The finer the block, the freer the choice of weights, and the more of their norm survives."
    if not len(rows):
        return Drawing([], alt, caption)
    figure, axes = bars(rows, title="", xlabel=xlabel, limit=1.08, width=5.6)
    axes.axvline(1, color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
    return Drawing([figure], alt, caption)
