"""The block structure of a checkpoint that somebody else pruned."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.blocks import BlockShape
from codesign.bsr import BSRMatrix, block_sparsity_of
from codesign.encoder import load_encoder, prunable_linears
from codesign.prune import AS_FOUND, prune_model
from codesign.prune.found import PRUNED, best, fits, pruned_matrices

SIDES = st.sampled_from([1, 2, 3, 4, 8, 16, 24, 32])


def made_of(block: BlockShape, kept: float, rng: np.random.Generator) -> np.ndarray:
    """A matrix of 8x8 whole blocks, the first of each block-row kept, so that no shape fits by chance alone."""
    blocks = rng.random((8, 8)) < kept
    blocks[np.arange(8), np.arange(8)] = True
    weight = rng.uniform(1, 2, (8 * block.rows, 8 * block.cols)).astype(np.float32)
    return weight * np.kron(blocks, np.ones((block.rows, block.cols), np.float32))


def largest_divisor(side: int) -> int:
    return side & -side


@given(rows=SIDES, cols=SIDES, kept=st.floats(0.1, 0.5), seed=st.integers(0, 2**32 - 1))
def test_blocks_are_recognised_without_fill_in(rows: int, cols: int, kept: float, seed: int) -> None:
    weight = made_of(BlockShape(rows, cols), kept, np.random.default_rng(seed))
    found = fits([weight])
    fit = best(found)
    assert fit.block.area >= largest_divisor(rows) * largest_divisor(cols)
    assert fit.fill_in <= 1.05
    part = next(f for f in found if f.block == BlockShape(largest_divisor(rows), largest_divisor(cols)))
    assert part.fill_in == 1


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), shape=st.tuples(st.integers(1, 70), st.integers(1, 70)))
def test_every_fit_counts_what_would_be_stored(seed: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    weight = (rng.uniform(1, 2, shape) * (rng.random(shape) < 0.3)).astype(np.float32)
    for fit in fits([weight]):
        stored = BSRMatrix.from_dense(weight, fit.block)
        assert math.isclose(fit.block_sparsity, block_sparsity_of(weight, fit.block), abs_tol=1e-9)
        assert fit.fill_in == stored.data.size / max(1, np.count_nonzero(weight))


@pytest.mark.parametrize("shape", ["1x1", "32x1", "1x16", "16x16", "4x4"])
def test_a_large_matrix_has_the_shape_it_was_pruned_in(shape: str) -> None:
    block = BlockShape.parse(shape)
    rng = np.random.default_rng(0)
    kept = rng.random(block.grid((256, 256))) < 0.2
    kept = np.kron(kept, np.ones((block.rows, block.cols), bool))
    weight = (rng.uniform(1, 2, (256, 256)) * kept).astype(np.float32)
    assert best(fits([weight])).block == block


def test_a_few_zeros_inside_kept_blocks_do_not_hide_the_blocks() -> None:
    rng = np.random.default_rng(0)
    weight = np.kron(rng.random((16, 64)) < 0.2, np.ones((16, 1))).astype(np.float32)
    weight[rng.random(weight.shape) < 0.02] = 0
    assert best(fits([weight])).block == BlockShape(16, 1)


def test_unpruned_matrices_are_left_out() -> None:
    rng = np.random.default_rng(0)
    dense, sparse = rng.uniform(1, 2, (2, 40, 40))
    sparse[rng.random(sparse.shape) < 2 * PRUNED] = 0
    assert list(pruned_matrices({"dense": dense, "sparse": sparse})) == ["sparse"]


def test_taking_a_model_as_it_was_found_changes_nothing_and_counts_its_zeros() -> None:
    model = load_encoder("bert-tiny")
    block = BlockShape(8, 1)
    done = prune_model(model, scope="all", pruner="magnitude", block=block, sparsity=0.75, seed=0)
    before = {name: linear.weight.numpy().copy() for name, linear in prunable_linears(model, "all").items()}
    found = prune_model(model, scope="all", pruner=AS_FOUND, block=block, sparsity=0.0, seed=0)
    assert found.block_sparsity == done.block_sparsity
    assert found.element_sparsity == done.element_sparsity
    assert found.retained_l2 == 1
    for name, linear in prunable_linears(model, "all").items():
        assert np.array_equal(linear.weight.numpy(), before[name])
