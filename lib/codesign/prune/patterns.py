"""What a pattern of zeros offers a compiler: how even its rows are, and how much its blocks repeat each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from codesign.blocks import BlockShape, to_blocks

#: The shapes in which every result is looked at beside its own, so that patterns of different origin compare.
STORED_AS = tuple(BlockShape.parse(text) for text in ("4x1", "32x1", "4x4", "32x32"))


@dataclass(frozen=True)
class RowCounts:
    """Stored blocks of the block-rows of a matrix; ``cv`` is their standard deviation over their mean."""

    min: int
    mean: float
    max: int
    cv: float


@dataclass(frozen=True)
class Stored:
    """A set of matrices stored in blocks of a shape.

    ``fill_in`` is the number of stored elements for each that is not zero (1: no zero is stored; padding counts).
    ``distinct_patterns`` and ``pattern_entropy`` (bits) describe the zero patterns inside stored blocks.
    """

    block: str
    block_sparsity: float
    fill_in: float
    distinct_patterns: int
    pattern_entropy: float


class Patterns:
    """How often each different zero pattern occurs inside stored blocks."""

    def __init__(self, counts: np.ndarray) -> None:
        self.counts = counts

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def entropy(self) -> float:
        """Shannon entropy of the distribution of patterns, in bits: 0 where all blocks are alike."""
        shares = self.counts / max(1, self.counts.sum())
        return max(0.0, float(-(shares * np.log2(shares)).sum()))


def patterns(blocks: np.ndarray) -> Patterns:
    """Count the different patterns of ``blocks``, bool [stored blocks, rows, cols]."""
    flat = blocks.reshape(len(blocks), blocks.shape[1] * blocks.shape[2])
    if flat.all():  # every block is full: the usual case, and quick
        return Patterns(np.array([len(flat)] if len(flat) else [], np.int64))
    packed = np.packbits(flat, axis=1)
    width = next((bytes for bytes in (1, 2, 4, 8) if packed.shape[1] <= bytes), None)
    if width is None:
        whole = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1])))
    else:  # integers sort many times faster
        whole = np.ascontiguousarray(np.pad(packed, ((0, 0), (0, width - packed.shape[1])))).view(f"u{width}")
    return Patterns(np.unique(whole[:, 0], return_counts=True)[1])


def row_counts(stored: np.ndarray) -> RowCounts:
    """Count the stored blocks of each block-row; ``stored`` is bool [block-rows, block-columns]."""
    rows = stored.sum(axis=1)
    mean = float(rows.mean())
    return RowCounts(int(rows.min()), mean, int(rows.max()), float(rows.std()) / mean if mean else 0.0)


def stored_as(weights: Iterable[np.ndarray], shapes: Iterable[BlockShape] = STORED_AS) -> list[Stored]:
    """Store matrices [out, in] in blocks of other shapes than they were pruned in, and say what that costs."""
    masks = [weight != 0 for weight in weights]
    nonzero = sum(int(np.count_nonzero(mask)) for mask in masks)
    found = []
    for block in shapes:
        cut = [to_blocks(mask, block) for mask in masks]
        stored = [blocks.any(axis=(2, 3)) for blocks in cut]
        kept = np.concatenate([blocks[which] for blocks, which in zip(cut, stored, strict=True)])
        counts = patterns(kept)
        found.append(
            Stored(
                block=str(block),
                block_sparsity=1 - len(kept) / sum(which.size for which in stored),
                fill_in=len(kept) * block.area / max(1, nonzero),
                distinct_patterns=len(counts),
                pattern_entropy=counts.entropy,
            )
        )
    return found
