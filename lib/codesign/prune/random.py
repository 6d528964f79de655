"""Random pruning: the control that shows what a pattern costs or gains whatever the weights are."""

from __future__ import annotations

import numpy as np

from codesign.blocks import BlockShape


def scores(weight: np.ndarray, block: BlockShape, rng: np.random.Generator) -> np.ndarray:
    """Draw the worth of each block: float64 [block-rows, block-columns] for a weight [out, in]."""
    return rng.random(block.grid((weight.shape[0], weight.shape[1])))
