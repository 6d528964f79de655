"""Block sparse rows: the format in which pruned weights reach the compiler."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codesign.blocks import BlockShape, from_blocks, to_blocks
from codesign.errors import InputError

#: Below this share of zero blocks the compiler stores a weight whole: indices would cost more than they skip.
MIN_BLOCK_SPARSITY = 0.25


@dataclass(frozen=True)
class BSRStatistics:
    """What a pattern offers a compiler.

    ``row_min``, ``row_mean`` and ``row_max`` count the stored blocks of a block-row; ``distinct_patterns`` counts the
    different zero/non-zero patterns inside the stored blocks (1 where every stored block is full).
    """

    row_min: int
    row_mean: float
    row_max: int
    distinct_patterns: int


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
        blocks = to_blocks(matrix, block)
        stored = blocks.any(axis=(2, 3))
        bsr = cls(
            data=blocks[stored],
            indices=np.nonzero(stored)[1].astype(np.int32),
            indptr=np.concatenate([[0], stored.sum(axis=1).cumsum()]).astype(np.int32),
            shape=(matrix.shape[0], matrix.shape[1]),
            block=block,
        )
        bsr.validate()
        return bsr

    def to_dense(self) -> np.ndarray:
        """Return the matrix as float32 [out, in]."""
        blocks = np.zeros((*self.grid, self.block.rows, self.block.cols), np.float32)
        blocks[self._block_row_of_stored, self.indices] = self.data
        return from_blocks(blocks, self.shape)

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

    def statistics(self) -> BSRStatistics:
        """Count blocks per block-row and distinct patterns inside blocks."""
        per_row = np.diff(self.indptr)
        patterns = np.packbits(self.data.reshape(self.nnz_blocks, self.block.area) != 0, axis=1)
        return BSRStatistics(
            row_min=int(per_row.min()),
            row_mean=float(per_row.mean()),
            row_max=int(per_row.max()),
            distinct_patterns=len(np.unique(patterns, axis=0)),
        )

    def validate(self) -> None:
        """Check everything a kernel relies on, since a kernel reads wherever ``indices`` points.

        Raises
        ------
        InputError
            Naming the array that is malformed.
        """
        block_rows, block_cols = self.grid
        nnz = self.nnz_blocks
        _expect("data", self.data, np.float32, (nnz, self.block.rows, self.block.cols))
        _expect("indices", self.indices, np.int32, (nnz,))
        _expect("indptr", self.indptr, np.int32, (block_rows + 1,))
        if self.indptr[0] != 0 or self.indptr[-1] != nnz or (np.diff(self.indptr) < 0).any():
            raise InputError("indptr", self.indptr.tolist(), f"a non-decreasing sequence from 0 to {nnz}")
        if nnz and (self.indices.min() < 0 or self.indices.max() >= block_cols):
            bad = self.indices[(self.indices < 0) | (self.indices >= block_cols)][0]
            raise InputError("indices", int(bad), f"block-columns from 0 to {block_cols - 1}")
        same_row = np.diff(self._block_row_of_stored) == 0
        if (np.diff(self.indices)[same_row] <= 0).any():
            raise InputError("indices", "unsorted", "strictly ascending block-columns inside each block-row")
        if not np.isfinite(self.data).all():
            raise InputError("data", "NaN or infinity", "finite values")

    @property
    def _block_row_of_stored(self) -> np.ndarray:
        return np.repeat(np.arange(self.grid[0]), np.diff(self.indptr))


def _expect(name: str, array: np.ndarray, dtype: type, shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        expected = f"{np.dtype(dtype)}{list(shape)}"
        raise InputError(name, f"{array.dtype}{list(array.shape)}", expected)
