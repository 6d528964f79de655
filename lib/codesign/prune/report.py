"""What pruning achieved, counted on the pruned weights themselves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from codesign.blocks import BlockShape, to_blocks


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
