"""From scores of blocks to a mask of elements."""

from __future__ import annotations

import numpy as np

from codesign.blocks import BlockShape, from_blocks


def kept_blocks(blocks: int, sparsity: float) -> int:
    """Blocks to keep out of ``blocks``: the nearest number, but at least one, so that no matrix vanishes."""
    return max(1, round((1 - sparsity) * blocks))


def keep_mask(scores: np.ndarray, kept: int, block: BlockShape, shape: tuple[int, int]) -> np.ndarray:
    """Mark the elements of the ``kept`` best blocks; of equal scores the first in row-major order wins.

    Parameters
    ----------
    scores
        [block-rows, block-columns], finite.
    kept
        1 to the number of blocks.
    block, shape
        Of the matrix, (out, in).

    Returns
    -------
    np.ndarray
        bool [out, in].
    """
    flat = scores.ravel()
    lowest_kept = np.partition(flat, flat.size - kept)[flat.size - kept]
    keep = flat > lowest_kept
    keep[np.flatnonzero(flat == lowest_kept)[: kept - np.count_nonzero(keep)]] = True
    blocks = np.broadcast_to(keep.reshape(*scores.shape, 1, 1), (*scores.shape, block.rows, block.cols))
    return from_blocks(blocks, shape)
