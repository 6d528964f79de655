"""What pruning achieved, counted on the pruned weights themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from codesign.blocks import BlockShape, to_blocks
from codesign.prune.patterns import RowCounts, Stored, patterns, row_counts, stored_as


@dataclass(frozen=True)
class MatrixReport:
    """One pruned matrix.

    Its shape (out, in), its blocks and those with a non-zero element, the shares of zeros, the stored blocks of its
    block-rows, and the distinct zero patterns inside stored blocks with the entropy of their distribution in bits.
    """

    name: str
    shape: tuple[int, int]
    blocks: int
    nnz_blocks: int
    element_sparsity: float
    block_sparsity: float
    rows: RowCounts
    distinct_patterns: int
    pattern_entropy: float


@dataclass(frozen=True)
class PruneReport:
    """All pruned matrices together.

    ``element_sparsity`` and ``block_sparsity`` are shares over all elements and all blocks, ``retained_l2`` is
    ||W after|| / ||W before||, and ``stored_as`` says what the same zeros are worth in other block shapes.
    """

    allocation: str
    matrices: list[MatrixReport]
    element_sparsity: float
    block_sparsity: float
    retained_l2: float
    stored_as: list[Stored]

    def record_fields(self) -> dict[str, Any]:
        """Fields of a ``pattern`` record."""
        return asdict(self) | {
            "matrices": [asdict(matrix) | {"shape": list(matrix.shape)} for matrix in self.matrices],
        }


def report(
    weights: Mapping[str, np.ndarray], block: BlockShape, norms_before: Mapping[str, float], allocation: str
) -> PruneReport:
    """Count the zeros of pruned ``weights`` [out, in].

    Parameters
    ----------
    weights
        Pruned matrices by name.
    block
        Shape they were pruned in.
    norms_before
        Their L2 norms before pruning.
    allocation
        How the budget was divided.
    """
    matrices = [_matrix(name, weight, block) for name, weight in weights.items()]
    elements = sum(weight.size for weight in weights.values())
    nonzero = sum(int(np.count_nonzero(weight)) for weight in weights.values())
    after = math.hypot(*(float(np.linalg.norm(weight.astype(np.float64))) for weight in weights.values()))
    return PruneReport(
        allocation=allocation,
        matrices=matrices,
        element_sparsity=1 - nonzero / elements,
        block_sparsity=1 - sum(m.nnz_blocks for m in matrices) / sum(m.blocks for m in matrices),
        retained_l2=after / math.hypot(*norms_before.values()),
        stored_as=stored_as(weights.values()),
    )


def _matrix(name: str, weight: np.ndarray, block: BlockShape) -> MatrixReport:
    blocks = to_blocks(weight != 0, block)
    stored = np.asarray(blocks.any(axis=(2, 3)))
    nnz = int(np.count_nonzero(stored))
    counts = patterns(blocks[stored])
    return MatrixReport(
        name=name,
        shape=(weight.shape[0], weight.shape[1]),
        blocks=stored.size,
        nnz_blocks=nnz,
        element_sparsity=1 - int(np.count_nonzero(weight)) / weight.size,
        block_sparsity=1 - nnz / stored.size,
        rows=row_counts(stored),
        distinct_patterns=len(counts),
        pattern_entropy=counts.entropy,
    )
