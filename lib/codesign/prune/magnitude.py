"""Magnitude pruning: a block is worth its root mean square weight."""

from __future__ import annotations

import numpy as np

from codesign.blocks import BlockShape, to_blocks


def scores(weight: np.ndarray, block: BlockShape, rng: np.random.Generator) -> np.ndarray:
    """Score each block by its L2 norm over the square root of its real (not padded) elements.

    Without that division the edge blocks of a matrix that ``block`` does not divide would go first for being small.
    The norm is L2 *inside* a block, as in group lasso: a sum of absolute values would not favour whole blocks.

    Parameters
    ----------
    weight
        float32 [out, in].
    block
        Need not divide the weight.
    rng
        Not used.

    Returns
    -------
    np.ndarray
        float64 [block-rows, block-columns]. Double precision, so that no order of summation decides a mask.
    """
    squares = to_blocks(np.square(weight, dtype=np.float64), block).sum(axis=(2, 3))
    rows = np.add.reduceat(np.ones(weight.shape[0]), np.arange(0, weight.shape[0], block.rows))
    cols = np.add.reduceat(np.ones(weight.shape[1]), np.arange(0, weight.shape[1], block.cols))
    return np.sqrt(squares / np.outer(rows, cols))
