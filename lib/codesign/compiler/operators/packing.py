"""How the weight of a linear layer lies in memory, and who works on which part of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from codesign.bsr import BSRMatrix
from codesign.compiler.formats import FP32, NumberFormat

#: Accumulators of the register tile that a strip of a block, or a panel of a dense weight, is made for. A dense weight
#: has no index to load, and more accumulators make more multiply-adds of a load.
STRIP_TILE, PANEL_TILE = 16, 24
#: Bytes that a vector of narrow weights may reach beyond the last.
_SLACK = 64


class PackedLinear(NamedTuple):
    """A weight as the kernels read it, in calling order: the rows of a strip, or of a whole block, lie side by side.

    ``data`` is [groups * strips, lanes of a group's inputs, rows of a strip * inputs of a lane], as `Linear.stored`
    counts; a group is one block, or those that a number format joins.
    """

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    bounds: np.ndarray


def strip_rows(vectors: int) -> int:
    """Rows of a strip where a slab has so many vectors of tokens: 4 for four of them, 16 for one."""
    return max(4, STRIP_TILE // vectors // 4 * 4)


def panel_rows(vectors: int) -> int:
    """Rows of a panel of a dense weight where a slab has so many vectors of tokens: 6 for four, 24 for one."""
    return max(6, PANEL_TILE // vectors)


def strip_of(rows: int, vectors: int) -> int:
    """Rows of a strip for blocks of ``rows``: `strip_rows`, where these divide them; else blocks stay whole."""
    strip = strip_rows(vectors)
    return strip if rows % strip == 0 else rows


def strip_order(indptr: np.ndarray, strips: int) -> np.ndarray:
    """Where the strips of each block are stored: int64 [blocks, strips], at least one block."""
    counts = np.diff(indptr)
    first = np.repeat(indptr[:-1], counts)
    places = first * strips + np.arange(indptr[-1]) - first
    found = places[:, None] + np.repeat(counts, counts)[:, None] * np.arange(strips)
    return found if len(found) else np.arange(strips)[None]


def most_groups(nnz: int, block_rows: int, joined: int) -> int:
    """Most groups that so many blocks fill, at least one: the last group of each block-row may not be full."""
    return max(1, (nnz + block_rows * (joined - 1)) // joined)


def slack(area: int, number: NumberFormat) -> int:
    """Strips of ``area`` weights that are allocated beyond the last where vectors of weights are widened."""
    return -(-_SLACK // area) if number.depth > 1 else 0


def grouped(matrix: BSRMatrix, joined: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Join blocks of each block-row along the input; a group that is not full has zeros.

    Returns
    -------
    tuple[np.ndarray, np.ndarray, np.ndarray]
        Data [groups, rows, cols * joined]; indices [groups], or [groups, joined] where blocks are joined; indptr.
    """
    if joined == 1:
        return matrix.data, matrix.indices, matrix.indptr
    counts = np.diff(matrix.indptr)
    indptr = np.concatenate([[0], np.cumsum(-(-counts // joined))]).astype(np.int32)
    blocks, rows, cols = matrix.data.shape
    in_row = np.arange(blocks) - np.repeat(matrix.indptr[:-1], counts)
    group, part = np.repeat(indptr[:-1], counts) + in_row // joined, in_row % joined
    data = np.zeros((indptr[-1], joined, rows, cols), matrix.data.dtype)
    data[group, part] = matrix.data
    indices = np.zeros((indptr[-1], joined), np.int32)
    indices[group[part == 0]] = matrix.indices[part == 0, None]  # padding reads what is in the cache anyway
    indices[group, part] = matrix.indices
    return data.transpose(0, 2, 1, 3).reshape(indptr[-1], rows, joined * cols), indices, indptr


def pack(matrix: BSRMatrix, shares: int, strip: int = 0, number: NumberFormat = FP32) -> PackedLinear:
    """Lay a BSR matrix out for the kernels and divide its block-rows into ``shares`` of about equal non-zeros.

    Parameters
    ----------
    matrix
        The weight, of the format's own type.
    shares, strip
        As in `Linear`.
    number
        Its number format.
    """
    joined = number.joined(matrix.block.cols)
    whole, indices, indptr = grouped(matrix, joined)
    groups, rows, cols = whole.shape
    strip = strip or rows
    strips, depth = rows // strip, number.depth
    # an empty row costs its epilogue, hence the + 1
    cost = np.concatenate([[0], np.cumsum(np.diff(indptr) + 1)])
    bounds = np.searchsorted(cost, np.linspace(0, cost[-1], shares + 1)).astype(np.int32)
    bounds[0], bounds[-1] = 0, len(indptr) - 1
    # TVM has no empty tensors; nothing points at what is beyond the last group
    most = most_groups(matrix.nnz_blocks, matrix.grid[0], joined)
    stored = np.zeros((most * strips + slack(strip * cols, number), cols // depth, strip * depth), whole.dtype)
    if groups:
        lanes = whole.reshape(groups, strips, strip, cols // depth, depth).transpose(0, 1, 3, 2, 4)
        stored[strip_order(indptr, strips)] = lanes.reshape(groups, strips, *stored.shape[1:])
    indices = np.concatenate([indices, np.zeros((most - groups, *indices.shape[1:]), np.int32)])
    return PackedLinear(stored, indices, indptr, bounds)
