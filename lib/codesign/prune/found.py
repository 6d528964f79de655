"""Pruned by somebody else: which block shape the zeros of a checkpoint come in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from codesign.blocks import BlockShape

#: Name of the pruner that leaves a model as it was found.
AS_FOUND = "as-found"
#: With a smaller share of zeros a matrix was not pruned: no format gains from so few.
PRUNED = 0.1

_SIDES = (1, 2, 4, 8, 16, 32, 64)
_SLACK = 1.05  # some weights inside a kept block may be zero by themselves


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
            wide = _halved(wide.T).T
        mask = _halved(mask)


def _halved(mask: np.ndarray) -> np.ndarray:
    """One row for every two."""
    whole = np.pad(mask, ((0, mask.shape[0] % 2), (0, 0)))
    return whole[0::2] | whole[1::2]
