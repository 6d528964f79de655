"""What pruning left, counted on the weights: what was achieved, and in which blocks the zeros of somebody else come."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from codesign.blocks import BlockShape, to_blocks

#: Name of the pruner that leaves a model as it was found.
AS_FOUND = "as-found"
#: With a smaller share of zeros a matrix was not pruned: no format gains from so few.
PRUNED = 0.1

_SIDES = (1, 2, 4, 8, 16, 32, 64)
_SLACK = 1.05  # some weights inside a kept block may be zero by themselves


@dataclass(frozen=True)
class MatrixReport:
    """One pruned matrix: its shape [out, in], its blocks, those with a non-zero element, and the shares of zeros."""

    name: str
    shape: list[int]
    blocks: int
    nnz_blocks: int
    element_sparsity: float
    block_sparsity: float


@dataclass(frozen=True)
class PruneReport:
    """All pruned matrices together: the fields of a ``pattern`` record.

    ``element_sparsity`` and ``block_sparsity`` are shares over all elements and all blocks, ``retained_l2`` is
    ||W after|| / ||W before||.
    """

    allocation: str
    matrices: list[MatrixReport]
    element_sparsity: float
    block_sparsity: float
    retained_l2: float


def report(weights: Mapping[str, np.ndarray], block: BlockShape, norm_before: float, allocation: str) -> PruneReport:
    """Count the zeros of pruned ``weights`` [out, in].

    Parameters
    ----------
    weights
        Pruned matrices by name.
    block
        Shape they were pruned in.
    norm_before
        Their `norm` before pruning.
    allocation
        How the budget was divided.
    """
    matrices, nonzero = [], 0
    for name, weight in weights.items():
        stored = to_blocks(weight != 0, block).any(axis=(2, 3))
        nnz, elements = int(np.count_nonzero(stored)), int(np.count_nonzero(weight))
        shares = 1 - elements / weight.size, 1 - nnz / stored.size
        matrices.append(MatrixReport(name, list(weight.shape), stored.size, nnz, *shares))
        nonzero += elements
    return PruneReport(
        allocation=allocation,
        matrices=matrices,
        element_sparsity=1 - nonzero / sum(weight.size for weight in weights.values()),
        block_sparsity=1 - sum(m.nnz_blocks for m in matrices) / sum(m.blocks for m in matrices),
        retained_l2=norm(weights.values()) / norm_before,
    )


def norm(weights: Iterable[np.ndarray]) -> float:
    """L2 norm of all matrices together, in double precision."""
    return math.hypot(*(float(np.linalg.norm(weight.astype(np.float64))) for weight in weights))


@dataclass(frozen=True)
class Fit:
    """How a block shape fits: the share of zero blocks, and the elements stored for each that is not zero."""

    block: BlockShape
    block_sparsity: float
    fill_in: float


def pruned_matrices(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Pick the matrices of which enough is exactly zero, `PRUNED`."""
    return {name: weight for name, weight in weights.items() if np.mean(weight == 0) >= PRUNED}


def fits(weights: Iterable[np.ndarray]) -> list[Fit]:
    """Try block shapes on matrices [out, in], sides 1, 2, 4 to 64.

    A block that a side does not divide shows as its largest divisor among these: 24x1 as 8x1.
    """
    stored, blocks = Counter[BlockShape](), Counter[BlockShape]()
    for weight in weights:
        for block, kept in _coarsened(weight != 0):
            stored[block] += int(np.count_nonzero(kept))
            blocks[block] += kept.size
    return [
        Fit(block, 1 - count / blocks[block], count * block.area / max(1, stored[BlockShape(1, 1)]))
        for block, count in stored.items()
    ]


def best(fits: Sequence[Fit]) -> Fit:
    """The largest shape without fill-in (up to 5%); of equal ones that with the least, then the tallest."""
    free = [fit for fit in fits if fit.fill_in <= _SLACK]
    return max(free, key=lambda fit: (fit.block.area, -fit.fill_in, fit.block.rows))


def _coarsened(mask: np.ndarray) -> Iterator[tuple[BlockShape, np.ndarray]]:
    """Every shape, with the mask of the blocks that have a non-zero element."""
    for rows in _SIDES:
        wide = mask
        for cols in _SIDES:
            yield BlockShape(rows, cols), wide
            wide = _halved(wide, 1)
        mask = _halved(mask, 0)


def _halved(mask: np.ndarray, axis: int) -> np.ndarray:
    return np.logical_or.reduceat(mask, np.arange(0, mask.shape[axis], 2), axis=axis)
