"""The rewrite of an encoder: which operators come out, how weights are stored, and what becomes one task."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.blocks import BlockShape
from codesign.compiler import Lowered, TargetSpec, extract_tasks, lower_encoder
from codesign.compiler.layout import TOKEN_MAJOR, layout_for
from codesign.compiler.operators import Linear
from codesign.compiler.operators.packing import panel_rows, strip_of, strip_rows
from codesign.encoder import load_encoder, save_checkpoint
from codesign.errors import InputError
from codesign.prune import prune_model


def test_an_encoder_becomes_operators_with_their_epilogues_inside(lowered: Lowered) -> None:
    counts: Counter[str] = Counter()
    tasks = extract_tasks([lowered])
    for task in tasks:
        operator = task.operator
        kind = operator.epilogue if isinstance(operator, Linear) else operator.kind if operator else "tvm"
        counts[kind] += task.weight
    assert counts.pop("tvm") <= 6, "embeddings and mask, nothing from inside the layers"
    # two layers: Q, K, V | output and FFN-down with the residual | FFN-up with GELU
    linears = {"bias": 6, "bias_residual": 4, "bias_gelu": 2}
    assert counts == linears | {"attention": 2, "layer_norm": 5, "to_feature_major": 1, "to_token_major": 1}
    # uniform sparsity makes equal linears one task
    assert sum(isinstance(task.operator, Linear) for task in tasks) == 4


def test_only_sparse_enough_weights_are_stored_in_blocks(pruned_tiny: Path, dense: Lowered, spec: TargetSpec) -> None:
    assert (dense.bsr_linears, dense.dense_linears) == (0, 12)
    # a 4x1 mask leaves no zero 32x32 block, so that shape finds nothing to skip
    other = lower_encoder(pruned_tiny, block=BlockShape(32, 32), batch=1, seq=16, spec=spec)
    assert (other.bsr_linears, other.dense_linears) == (0, 12)


def test_tasks_of_several_models_are_shared(lowered: Lowered, dense: Lowered) -> None:
    together, alone = extract_tasks([lowered, dense]), extract_tasks([lowered])
    assert {task.digest for task in alone} <= {task.digest for task in together}
    attention = next(task for task in together if task.operator and task.operator.kind == "attention")
    assert attention.weight == 4


@pytest.mark.parametrize("shape", [(48, 8), (50, 8), (7, 3)])
def test_a_dense_weight_is_one_block_a_block_row(shape: tuple[int, int], spec: TargetSpec) -> None:
    weight = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    weight[0] = 0.0
    stored = layout_for(1, 128, spec, strips=False).stored(weight, None)
    np.testing.assert_array_equal(np.concatenate(stored.data)[: shape[0]], weight)
    assert stored.nnz_blocks == stored.grid[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pipeline": "stok"}, r"pipeline='stok'.*one of codesign, stock"),
        ({"layout": "row-major"}, "did you mean feature-major"),
        ({"layout": TOKEN_MAJOR}, "whole vectors of .* rows, if token-major; did you mean (8|16)x1"),
    ],
)
def test_what_cannot_be_lowered_is_refused_by_name(
    options: dict[str, Any], message: str, pruned_tiny: Path, spec: TargetSpec
) -> None:
    with pytest.raises(InputError, match=message):
        lower_encoder(pruned_tiny, block=BlockShape(4, 1), batch=1, seq=16, spec=spec, **options)


def test_token_major_tokens_are_not_padded(spec: TargetSpec) -> None:
    layout = layout_for(2, 37, spec, TOKEN_MAJOR)
    assert (layout.padded, layout.slab, layout.tokens) == (37, 1, 74)
    assert layout.linear((64, 64), BlockShape(32, 1), 9, "bias").threads == spec.threads


def test_strips_are_as_high_as_a_register_tile_over_the_vectors_of_a_slab() -> None:
    assert [strip_rows(vectors) for vectors in (1, 2, 3, 4, 8)] == [16, 8, 4, 4, 4]
    assert [panel_rows(vectors) for vectors in (1, 2, 3, 4, 8)] == [24, 12, 8, 6, 6]
    assert [strip_of(rows, 4) for rows in (1, 4, 6, 7, 8, 32)] == [1, 4, 6, 7, 4, 4]
    assert [strip_of(rows, 1) for rows in (4, 8, 16, 24, 64)] == [4, 8, 16, 24, 16]


def test_an_encoder_stores_strips_unless_told_otherwise(tmp_path: Path, wide: TargetSpec) -> None:
    model = load_encoder("minilm")
    prune_model(model, scope="attention", pruner="magnitude", block=BlockShape(32, 1), sparsity=0.8, seed=0)
    save_checkpoint(model, tmp_path, {})
    for strips, rows in ((True, {(32, 4), (6, 6)}), (False, {(32, 32), (12, 12)})):
        lowered = lower_encoder(tmp_path, block=BlockShape(32, 1), batch=1, seq=128, spec=wide, strips=strips)
        linears = [task.operator for task in extract_tasks([lowered]) if isinstance(task.operator, Linear)]
        assert {(linear.rows, linear.strip) for linear in linears} == rows
