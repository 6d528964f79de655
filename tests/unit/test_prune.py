"""Pruning in one shot: exact zeros, exact counts, and what was pruned by somebody else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.blocks import BlockShape, to_blocks
from codesign.bsr import BSRMatrix
from codesign.encoder import load_encoder, prunable_linears
from codesign.errors import InputError
from codesign.prune import ONE_SHOT, prune_model
from codesign.prune.allocation import ALLOCATIONS, kept_blocks
from codesign.prune.report import AS_FOUND, PRUNED, best, fits, pruned_matrices

if TYPE_CHECKING:  # its code takes seconds to import
    from transformers import BertModel

SIDES = st.sampled_from([1, 2, 3, 4, 8, 16, 24, 32])
SETTINGS = {"scope": "all", "pruner": "magnitude", "block": BlockShape(4, 1), "sparsity": 0.5, "seed": 0}


@pytest.fixture
def model() -> BertModel:
    return load_encoder("bert-tiny", seed=3)


def weights(model: BertModel) -> dict[str, np.ndarray]:
    return {name: linear.weight.numpy().copy() for name, linear in prunable_linears(model, "all").items()}


@pytest.mark.parametrize("pruner", ONE_SHOT)
@pytest.mark.parametrize("shape", ["1x1", "32x1", "1x32", "7x5", "128x128"])
def test_exact_zeros_and_exact_counts(model: BertModel, pruner: str, shape: str) -> None:
    block = BlockShape.parse(shape)
    before = weights(model)
    report = prune_model(model, scope="all", pruner=pruner, block=block, sparsity=0.8, seed=0)
    after = weights(model)
    assert [matrix.name for matrix in report.matrices] == list(after)
    for matrix in report.matrices:
        old, new = before[matrix.name], after[matrix.name]
        stored = to_blocks(new, block).any(axis=(2, 3))
        assert stored.sum() == matrix.nnz_blocks == kept_blocks(stored.size, 0.8)
        assert (matrix.blocks, matrix.shape) == (stored.size, list(new.shape))
        assert matrix.block_sparsity == pytest.approx(1 - stored.mean())
        assert matrix.element_sparsity == pytest.approx(np.mean(new == 0))
        kept = np.repeat(np.repeat(stored, block.rows, 0), block.cols, 1)[: new.shape[0], : new.shape[1]]
        assert np.array_equal(new, np.where(kept, old, 0)), "kept weights are untouched"
        assert not np.signbit(new[~kept]).any(), "zeros are positive zeros"
    flat, start = (np.concatenate([each.ravel() for each in side.values()]) for side in (after, before))
    assert report.element_sparsity == pytest.approx(np.mean(flat == 0))
    assert report.retained_l2 == pytest.approx(np.linalg.norm(flat) / np.linalg.norm(start), rel=1e-5)
    if shape != "128x128":
        assert report.block_sparsity == pytest.approx(0.8, abs=2e-3)


@pytest.mark.parametrize("scope", ["attention", "ffn"])
def test_only_the_scope_is_touched(model: BertModel, scope: str) -> None:
    before = weights(model)
    prune_model(model, **SETTINGS | {"scope": scope})
    changed = {name for name, weight in weights(model).items() if not np.array_equal(weight, before[name])}
    assert changed == set(prunable_linears(model, scope))


def test_magnitude_keeps_more_than_random(model: BertModel) -> None:
    shape = {"block": BlockShape(32, 1), "sparsity": 0.8}
    by_magnitude = prune_model(model, **SETTINGS | shape)
    at_random = prune_model(load_encoder("bert-tiny", seed=3), **SETTINGS | shape | {"pruner": "random"})
    assert at_random.retained_l2 < by_magnitude.retained_l2 < 1
    assert at_random.retained_l2 == pytest.approx(0.2**0.5, rel=0.05)


@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_every_allocation_spends_the_same_budget(model: BertModel, allocation: str) -> None:
    block = BlockShape(4, 4)
    report = prune_model(model, **SETTINGS | {"block": block, "sparsity": 0.75}, allocation=allocation)
    assert (report.block_sparsity, report.allocation) == (pytest.approx(0.75), allocation)
    kept = {matrix.nnz_blocks / matrix.blocks for matrix in report.matrices}
    assert len(kept) > 1 if allocation == "global" else kept == {0.25}
    rows = [to_blocks(weight, block).any((2, 3)).sum(1) for weight in weights(model).values()]
    assert all(np.ptp(each) == 0 for each in rows) == (allocation == "row-balanced")


def test_zero_sparsity_changes_nothing(model: BertModel) -> None:
    before = weights(model)
    report = prune_model(model, **SETTINGS | {"block": BlockShape(3, 3), "sparsity": 0.0})
    assert all(np.array_equal(weight, before[name]) for name, weight in weights(model).items())
    assert (report.block_sparsity, report.retained_l2) == (0.0, 1.0)


def test_random_masks_depend_on_the_seed_and_the_matrix_but_not_on_the_scope() -> None:
    def mask(scope: str, seed: int, layer: int = 0) -> np.ndarray:
        model = load_encoder("bert-tiny")
        prune_model(model, scope=scope, pruner="random", block=BlockShape(4, 4), sparsity=0.5, seed=seed)
        return model.get_submodule(f"encoder.layer.{layer}.attention.self.query").weight.numpy() != 0

    assert np.array_equal(mask("attention", 0), mask("all", 0))
    assert not np.array_equal(mask("attention", 0), mask("attention", 1))
    assert not np.array_equal(mask("attention", 0), mask("attention", 0, layer=1))


@pytest.mark.parametrize(
    ("changes", "parameter", "message"),
    [
        ({"sparsity": 1.2}, "sparsity", r"sparsity=1.2 is not valid: expected .* \[0, 1\); did you mean 0.99"),
        ({"sparsity": 1.0}, "sparsity", "did you mean 0.99"),
        ({"sparsity": -0.1}, "sparsity", "did you mean 0.0"),
        ({"sparsity": float("nan")}, "sparsity", "a share of blocks"),
        ({"scope": "atention"}, "scope", "did you mean attention"),
        ({"pruner": "magnitud"}, "pruner", "did you mean magnitude"),
        ({"pruner": "movement"}, "pruner", "one that needs no training: l1, magnitude, random"),
        ({"allocation": "globl"}, "allocation", "did you mean global"),
        ({"allocation": "row-balanced", "sparsity": 0.999}, "sparsity", "did you mean 0.9921"),
        ({"block": BlockShape(256, 1)}, "block", "did you mean 128x1"),
    ],
)
def test_refusals_leave_the_model_alone(model: BertModel, changes: dict, parameter: str, message: str) -> None:
    before = weights(model)
    with pytest.raises(InputError, match=message) as caught:
        prune_model(model, **SETTINGS | changes)
    assert caught.value.parameter == parameter
    assert all(np.array_equal(weight, before[name]) for name, weight in weights(model).items())


def made_of(block: BlockShape, kept: float, rng: np.random.Generator) -> np.ndarray:
    """A matrix of 8x8 whole blocks, the first of each block-row kept, so that no shape fits by chance alone."""
    blocks = rng.random((8, 8)) < kept
    blocks[np.arange(8), np.arange(8)] = True
    weight = rng.uniform(1, 2, (8 * block.rows, 8 * block.cols)).astype(np.float32)
    return weight * np.kron(blocks, np.ones((block.rows, block.cols), np.float32))


@given(rows=SIDES, cols=SIDES, kept=st.floats(0.1, 0.5), seed=st.integers(0, 2**32 - 1))
def test_blocks_are_recognised_without_fill_in(rows: int, cols: int, kept: float, seed: int) -> None:
    found = fits([made_of(BlockShape(rows, cols), kept, np.random.default_rng(seed))])
    fit, divisor = best(found), BlockShape(rows & -rows, cols & -cols)
    assert fit.block.area >= divisor.area
    assert fit.fill_in <= 1.05
    assert next(each for each in found if each.block == divisor).fill_in == 1


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), shape=st.tuples(st.integers(1, 70), st.integers(1, 70)))
def test_every_fit_counts_what_would_be_stored(seed: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    weight = (rng.uniform(1, 2, shape) * (rng.random(shape) < 0.3)).astype(np.float32)
    for fit in fits([weight]):
        stored = BSRMatrix.from_dense(weight, fit.block)
        assert math.isclose(fit.block_sparsity, stored.block_sparsity, abs_tol=1e-9)
        assert fit.fill_in == stored.data.size / max(1, np.count_nonzero(weight))


@pytest.mark.parametrize("shape", ["1x1", "32x1", "1x16", "16x16"])
def test_a_few_zeros_inside_kept_blocks_do_not_hide_their_shape(shape: str) -> None:
    block, rng = BlockShape.parse(shape), np.random.default_rng(0)
    kept = np.kron(rng.random(block.grid((256, 256))) < 0.2, np.ones((block.rows, block.cols)))
    weight = (rng.uniform(1, 2, (256, 256)) * kept).astype(np.float32)
    weight[rng.random(weight.shape) < 0.02] = 0
    assert best(fits([weight])).block == block


def test_unpruned_matrices_are_left_out() -> None:
    rng = np.random.default_rng(0)
    dense, sparse = rng.uniform(1, 2, (2, 40, 40))
    sparse[rng.random(sparse.shape) < 2 * PRUNED] = 0
    assert list(pruned_matrices({"dense": dense, "sparse": sparse})) == ["sparse"]


def test_taking_a_model_as_it_was_found_changes_nothing_and_counts_its_zeros(model: BertModel) -> None:
    done = prune_model(model, **SETTINGS)
    before = weights(model)
    found = prune_model(model, **SETTINGS | {"pruner": AS_FOUND, "sparsity": 0.0})
    assert (found.matrices, found.allocation, found.retained_l2) == (done.matrices, AS_FOUND, 1)
    assert all(np.array_equal(weight, before[name]) for name, weight in weights(model).items())
