"""Block sparse rows: the format in which pruned weights reach the compiler."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codesign.blocks import BlockShape, to_blocks
from codesign.errors import InputError

#: Below this share of zero blocks the compiler stores a weight whole: indices would cost more than they skip.
MIN_BLOCK_SPARSITY = 0.25


@dataclass(frozen=True, eq=False)
class BSRMatrix:
    """A matrix of which only the non-zero blocks are stored.

    Block-row ``i`` holds the blocks ``data[indptr[i]:indptr[i + 1]]``, which start at column
    ``indices[...] * block.cols``. Edge blocks are padded with zeros to the full block.

    Parameters
    ----------
    data
        float32 [nnz, rows, cols].
    indices
        int32 [nnz], block-column of each stored block, ascending inside a block-row.
    indptr
        int32 [block-rows + 1].
    shape
        True (unpadded) shape (out, in).
    block
        Shape of a block.
    """

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    shape: tuple[int, int]
    block: BlockShape

    @classmethod
    def from_dense(cls, matrix: np.ndarray, block: BlockShape) -> BSRMatrix:
        """Drop the all-zero blocks of ``matrix`` (float32 [out, in]).

        Raises
        ------
        InputError
            If ``matrix`` is not a float32 matrix of finite values.
        """
        if matrix.ndim != 2 or matrix.dtype != np.float32:
            raise InputError("matrix", f"{matrix.dtype}{list(matrix.shape)}", "a float32 matrix [out, in]")
        if not np.isfinite(matrix).all():
            raise InputError("matrix", "NaN or infinity", "finite values")
        blocks = to_blocks(matrix, block)
        stored = blocks.any(axis=(2, 3))
        return cls(
            data=blocks[stored],
            indices=np.nonzero(stored)[1].astype(np.int32),
            indptr=np.concatenate([[0], stored.sum(axis=1).cumsum()]).astype(np.int32),
            shape=(matrix.shape[0], matrix.shape[1]),
            block=block,
        )

    @property
    def grid(self) -> tuple[int, int]:
        """Block-rows and block-columns, stored or not."""
        return self.block.grid(self.shape)

    @property
    def nnz_blocks(self) -> int:
        """Stored blocks."""
        return len(self.indices)

    @property
    def density(self) -> float:
        """Share of blocks that are stored."""
        return self.nnz_blocks / (self.grid[0] * self.grid[1])

    @property
    def block_sparsity(self) -> float:
        """Share of blocks that are not stored."""
        return 1.0 - self.density
