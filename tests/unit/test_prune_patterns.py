"""Statistics of patterns against counting by hand."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.blocks import BlockShape, to_blocks
from codesign.bsr import BSRMatrix
from codesign.prune.patterns import patterns, row_counts, stored_as

SHAPES = st.builds(BlockShape, st.integers(1, 9), st.integers(1, 9))


@settings(max_examples=50)
@given(SHAPES, st.floats(0.05, 1), st.integers(0, 99))
def test_patterns_are_counted_and_their_entropy_is_shannons(block: BlockShape, density: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random((18, 20)) < density
    blocks = to_blocks(mask, block)
    stored = blocks[blocks.any(axis=(2, 3))]
    counts = Counter(each.tobytes() for each in stored)
    found = patterns(stored)
    assert sorted(found.counts) == sorted(counts.values())
    entropy = -sum(n / len(stored) * math.log2(n / len(stored)) for n in counts.values())
    assert found.entropy == pytest.approx(entropy, abs=1e-9)
    bsr = BSRMatrix.from_dense(mask.astype(np.float32), block)
    statistics, rows = bsr.statistics(), row_counts(blocks.any(axis=(2, 3)))
    assert len(found) == statistics.distinct_patterns
    assert (rows.min, rows.mean, rows.max) == (statistics.row_min, statistics.row_mean, statistics.row_max)


def test_full_blocks_are_all_alike() -> None:
    full = patterns(np.ones((7, 4, 4), bool))
    assert (len(full), full.entropy) == (1, 0.0)
    none = patterns(np.zeros((0, 4, 4), bool))
    assert (len(none), none.entropy) == (0, 0.0)


def test_row_counts() -> None:
    counts = row_counts(np.array([[1, 1, 1, 1], [0, 0, 1, 1]], bool))
    assert (counts.min, counts.mean, counts.max) == (2, 3.0, 4)
    assert counts.cv == pytest.approx(1 / 3)


def test_an_unstructured_mask_costs_fill_in_when_it_is_stored_in_blocks() -> None:
    weight = np.eye(8, dtype=np.float32)
    shapes = [BlockShape(1, 1), BlockShape(4, 1), BlockShape(4, 4), BlockShape(3, 3)]
    single, column, square, odd = stored_as([weight, weight], shapes)
    assert (single.fill_in, single.block_sparsity) == (1.0, 1 - 1 / 8)
    assert (column.fill_in, column.block_sparsity, column.distinct_patterns) == (4.0, 0.5, 4)
    assert column.pattern_entropy == pytest.approx(2.0)
    assert (square.fill_in, square.distinct_patterns, square.pattern_entropy) == (4.0, 1, 0.0)
    assert odd.fill_in == 9 * 3 / 8, "padding counts"
    assert odd.block == "3x3"
