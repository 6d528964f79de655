"""Who pays: how a sparsity budget is divided among matrices and among the rows of a matrix.

Each allocation divides the blocks of a model into pools and takes the same share of the weakest from each. The pools
of ``uniform`` are matrices, of ``row-balanced`` block-rows; ``global`` has a single one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from codesign.errors import InputError, one_of

ALLOCATIONS = ("uniform", "global", "row-balanced")


def kept_blocks(blocks: int, sparsity: float) -> int:
    """Blocks to keep out of ``blocks``: the nearest number, but at least one, so that nothing vanishes."""
    return max(1, round((1 - sparsity) * blocks))


def check_fits(grids: Mapping[str, tuple[int, int]], sparsity: float, allocation: str) -> None:
    """Refuse what cannot be done, before any work.

    Parameters
    ----------
    grids
        Block-rows and block-columns of each matrix.
    sparsity, allocation
        As in `keep`.

    Raises
    ------
    InputError
        For an unknown allocation, a sparsity outside [0, 1), or one that would leave less than half a block to each
        block-row: row-balanced pruning keeps at least one, and would not achieve it.
    """
    one_of("allocation", allocation, ALLOCATIONS)
    if not 0 <= sparsity < 1:
        raise InputError("sparsity", sparsity, "a share of blocks in [0, 1)", 0.99 if sparsity >= 1 else 0.0)
    name, (_, columns) = min(grids.items(), key=lambda item: item[1][1])
    if allocation == "row-balanced" and sparsity and round((1 - sparsity) * columns) < 1:
        most = 1 - 1 / columns
        expected = f"at most {most:.4g}: {name} has {columns} blocks a row, and row-balanced pruning keeps one"
        raise InputError("sparsity", sparsity, expected, math.floor(most * 1e4) / 1e4)


def keep(scores: Mapping[str, Tensor], sparsity: float, allocation: str = "uniform") -> dict[str, Tensor]:
    """Say which blocks stay.

    Parameters
    ----------
    scores
        [block-rows, block-columns] of each matrix, finite.
    sparsity
        Share of blocks to remove from each pool, in [0, 1).
    allocation
        One of `ALLOCATIONS`.

    Returns
    -------
    dict[str, Tensor]
        bool [block-rows, block-columns] of each matrix; of equal scores the first in row-major order stays. Each
        matrix keeps at least one block: with a global budget its best one is safe.
    """
    if allocation == "global":
        scores = {name: _best_is_safe(each) for name, each in scores.items()}
    kept = [_keep_best(pool, sparsity) for pool in _pools(scores, allocation)]
    if allocation == "global":
        kept = list(torch.split(kept[0], [each.numel() for each in scores.values()], dim=1))
    # with a global budget below one block a matrix, the safe ones alone are more than it
    return {
        name: mask.reshape(each.shape) | each.isinf() for mask, (name, each) in zip(kept, scores.items(), strict=True)
    }


def thresholds(scores: Mapping[str, Tensor], sparsity: float, allocation: str = "uniform") -> dict[str, Tensor]:
    """Return the highest score that has to go, for each pool; 0 where nothing has to.

    Soft thresholding with it leaves the share of zeros that ``sparsity`` asks for, whatever the block shape.

    Parameters
    ----------
    scores
        [rows, columns] of each matrix, not negative; blocks, or single weights.
    sparsity, allocation
        As in `keep`.

    Returns
    -------
    dict[str, Tensor]
        [rows, 1] of each matrix where rows are balanced, [1, 1] otherwise.
    """
    highest = []
    for pool in _pools(scores, allocation):
        gone = pool.shape[1] - kept_blocks(pool.shape[1], sparsity)
        highest.append(_smallest(pool, gone - 1) if gone else pool.new_zeros(len(pool), 1))
    if allocation == "global":
        return dict.fromkeys(scores, highest[0])
    return dict(zip(scores, highest, strict=True))


def _pools(scores: Mapping[str, Tensor], allocation: str) -> list[Tensor]:
    """Return tensors [pools, members of each]."""
    match one_of("allocation", allocation, ALLOCATIONS):
        case "uniform":
            return [each.reshape(1, -1) for each in scores.values()]
        case "global":
            return [torch.cat([each.flatten() for each in scores.values()])[None]]
        case _:
            return list(scores.values())


def _keep_best(pool: Tensor, sparsity: float) -> Tensor:
    kept = kept_blocks(pool.shape[1], sparsity)
    lowest = _smallest(pool, pool.shape[1] - kept)
    above, equal = pool > lowest, pool == lowest
    return above | (equal & (equal.cumsum(1) <= kept - above.sum(1, keepdim=True)))


def _best_is_safe(scores: Tensor) -> Tensor:
    safe = scores.clone()
    safe.view(-1)[scores.argmax()] = torch.inf
    return safe


def _smallest(pool: Tensor, place: int) -> Tensor:
    """Value at ``place``, from 0, in the order of each row of ``pool``: [pools, 1]."""
    # NumPy selects many times faster than PyTorch on a CPU
    return torch.from_numpy(np.partition(pool.cpu().numpy(), place, axis=1)[:, place : place + 1]).to(pool.device)
