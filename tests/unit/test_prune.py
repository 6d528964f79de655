from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from codesign.blocks import BlockShape, to_blocks
from codesign.bsr import BSRMatrix
from codesign.encoder import load_encoder, prunable_linears
from codesign.errors import InputError
from codesign.prune import ALLOCATIONS, ONE_SHOT, prune_model
from codesign.prune.allocation import kept_blocks

if TYPE_CHECKING:  # its code takes seconds to import
    from transformers import BertModel

SHAPES = ["1x1", "4x1", "32x1", "1x32", "16x16", "7x5", "128x128"]


@pytest.fixture
def model() -> BertModel:
    return load_encoder("bert-tiny", seed=3)


def weights(model: BertModel) -> dict[str, np.ndarray]:
    return {name: linear.weight.numpy().copy() for name, linear in prunable_linears(model, "all").items()}


@pytest.mark.parametrize("pruner", ONE_SHOT)
@pytest.mark.parametrize("shape", SHAPES)
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
        assert matrix.blocks == stored.size
        assert matrix.block_sparsity == pytest.approx(1 - stored.mean())
        assert matrix.element_sparsity == pytest.approx(np.mean(new == 0))
        kept = np.repeat(np.repeat(stored, block.rows, 0), block.cols, 1)[: new.shape[0], : new.shape[1]]
        assert np.array_equal(new, np.where(kept, old, 0)), "kept weights are untouched"
        assert not np.signbit(new[~kept]).any(), "zeros are positive zeros"
        assert np.array_equal(BSRMatrix.from_dense(new, block).to_dense(), new)


@pytest.mark.parametrize("scope", ["attention", "ffn"])
def test_only_the_scope_is_touched(model: BertModel, scope: str) -> None:
    before = weights(model)
    prune_model(model, scope=scope, pruner="magnitude", block=BlockShape(4, 1), sparsity=0.5, seed=0)
    changed = {name for name, weight in weights(model).items() if not np.array_equal(weight, before[name])}
    assert changed == set(prunable_linears(model, scope))


def test_magnitude_keeps_more_than_random(model: BertModel) -> None:
    block = BlockShape(32, 1)
    settings = {"scope": "all", "block": block, "sparsity": 0.8, "seed": 0}
    by_magnitude = prune_model(model, pruner="magnitude", **settings)
    at_random = prune_model(load_encoder("bert-tiny", seed=3), pruner="random", **settings)
    assert at_random.retained_l2 < by_magnitude.retained_l2 < 1
    assert at_random.retained_l2 == pytest.approx(0.2**0.5, rel=0.05)


def test_report_adds_up(model: BertModel) -> None:
    before = np.concatenate([weight.ravel() for weight in weights(model).values()])
    report = prune_model(model, scope="all", pruner="magnitude", block=BlockShape(7, 5), sparsity=0.6, seed=0)
    after = np.concatenate([weight.ravel() for weight in weights(model).values()])
    assert report.element_sparsity == pytest.approx(np.mean(after == 0))
    assert report.retained_l2 == pytest.approx(np.linalg.norm(after) / np.linalg.norm(before), rel=1e-5)
    assert report.block_sparsity == pytest.approx(0.6, abs=1e-3)
    fields = json.loads(json.dumps(report.record_fields()))
    assert fields["allocation"] == "uniform"
    assert fields["matrices"][0]["shape"] == [128, 128]


@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_every_allocation_spends_the_same_budget(model: BertModel, allocation: str) -> None:
    block = BlockShape(4, 4)
    settings = {"scope": "all", "pruner": "magnitude", "block": block, "sparsity": 0.75, "seed": 0}
    report = prune_model(model, allocation=allocation, **settings)
    assert report.block_sparsity == pytest.approx(0.75)
    assert report.record_fields()["allocation"] == report.allocation == allocation
    kept = {matrix.nnz_blocks / matrix.blocks for matrix in report.matrices}
    assert len(kept) > 1 if allocation == "global" else kept == {0.25}
    uneven = [matrix.rows.cv for matrix in report.matrices]
    assert max(uneven) == 0 if allocation == "row-balanced" else min(uneven) > 0


def test_zero_sparsity_changes_nothing(model: BertModel) -> None:
    before = weights(model)
    report = prune_model(model, scope="all", pruner="random", block=BlockShape(3, 3), sparsity=0.0, seed=0)
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
        (
            {"sparsity": 1.2},
            "sparsity",
            r"sparsity=1.2 is not valid: expected .* \[0, 1\); did you mean 0.99",
        ),
        ({"sparsity": 1.0}, "sparsity", "did you mean 0.99"),
        ({"sparsity": -0.1}, "sparsity", "did you mean 0.0"),
        ({"sparsity": float("nan")}, "sparsity", "a share of blocks"),
        ({"scope": "atention"}, "scope", "did you mean attention"),
        ({"pruner": "magnitud"}, "pruner", "did you mean magnitude"),
        ({"pruner": "movement"}, "pruner", "one that needs no training: magnitude, l1, random"),
        ({"allocation": "globl"}, "allocation", "did you mean global"),
        ({"allocation": "row-balanced", "sparsity": 0.999}, "sparsity", "did you mean 0.9921"),
        ({"block": BlockShape(256, 1)}, "block", "did you mean 128x1"),
    ],
)
def test_refusals_leave_the_model_alone(model: BertModel, changes: dict, parameter: str, message: str) -> None:
    before = weights(model)
    settings = {"scope": "all", "pruner": "magnitude", "block": BlockShape(4, 1), "sparsity": 0.5, "seed": 0}
    with pytest.raises(InputError, match=message) as caught:
        prune_model(model, **(settings | changes))
    assert caught.value.parameter == parameter
    assert all(np.array_equal(weight, before[name]) for name, weight in weights(model).items())


def test_pruned_model_still_runs(model: BertModel) -> None:
    prune_model(model, scope="all", pruner="magnitude", block=BlockShape(7, 5), sparsity=0.9, seed=0)
    assert torch.isfinite(model(torch.ones((1, 4), dtype=torch.int64)).last_hidden_state).all()
