"""What pruning by block looks like: the same corner of one weight matrix, pruned with different block shapes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.colors import ListedColormap

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
            axes.set_title(block)
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set(visible=True, color=INK, linewidth=0.6)
            axes.set_xlabel("input features")
            axes.set_ylabel("output features")
        panels.append(figure)
    alt = f"The first {crop} by {crop} weights of one matrix, pruned with block shapes {', '.join(weights)}."
    return Drawing(panels, alt, "The same corner of one weight matrix. Blue weights were kept, the rest are zero.")
