"""The rewrite of an encoder: which operators come out, and that nothing is left token-major inside."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from codesign.blocks import BlockShape
from codesign.compiler import TargetSpec, extract_tasks, lower_encoder
from codesign.compiler.operators import Linear
from codesign.compiler.storage import whole
from codesign.errors import InputError


def weights_by_kind(lowered: object) -> Counter[str]:
    counts: Counter[str] = Counter()
    for task in extract_tasks([lowered]):  # type: ignore[list-item]
        operator = task.operator
        counts[operator.epilogue if isinstance(operator, Linear) else operator.kind if operator else "tvm"] += (
            task.weight
        )
    return counts


def test_an_encoder_becomes_operators_with_their_epilogues_inside(pruned_tiny: Path, spec: TargetSpec) -> None:
    lowered = lower_encoder(pruned_tiny, block=BlockShape(4, 1), batch=1, seq=16, spec=spec)
    counts = weights_by_kind(lowered)
    tvm_functions = counts.pop("tvm")
    # two layers: Q, K, V | output and FFN-down with the residual | FFN-up with GELU
    assert counts == {
        "bias": 6,
        "bias_residual": 4,
        "bias_gelu": 2,
        "attention": 2,
        "layer_norm": 5,
        "to_feature_major": 1,
        "to_token_major": 1,
    }
    assert tvm_functions <= 6, "embeddings and mask, nothing from inside the layers"
    assert (lowered.bsr_linears, lowered.dense_linears) == (12, 0)


def test_only_sparse_enough_weights_are_stored_in_blocks(pruned_tiny: Path, spec: TargetSpec) -> None:
    dense = lower_encoder(pruned_tiny, block=None, batch=1, seq=16, spec=spec)
    assert (dense.bsr_linears, dense.dense_linears) == (0, 12)
    # a 4x1 mask leaves no zero 32x32 block, so that shape finds nothing to skip
    other = lower_encoder(pruned_tiny, block=BlockShape(32, 32), batch=1, seq=16, spec=spec)
    assert (other.bsr_linears, other.dense_linears) == (0, 12)


def test_uniform_sparsity_makes_equal_linears_one_task(pruned_tiny: Path, spec: TargetSpec) -> None:
    lowered = lower_encoder(pruned_tiny, block=BlockShape(4, 1), batch=1, seq=16, spec=spec)
    linears = [task for task in extract_tasks([lowered]) if isinstance(task.operator, Linear)]
    assert len(linears) == 4
    assert sum(task.weight for task in linears) == 12


def test_tasks_of_several_models_are_shared(pruned_tiny: Path, spec: TargetSpec) -> None:
    sparse = lower_encoder(pruned_tiny, block=BlockShape(4, 1), batch=1, seq=16, spec=spec)
    dense = lower_encoder(pruned_tiny, block=None, batch=1, seq=16, spec=spec)
    together, alone = extract_tasks([sparse, dense]), extract_tasks([sparse])
    shared = {task.digest for task in together} & {task.digest for task in alone}
    assert len(shared) == len(alone)
    attention = next(task for task in together if task.operator and task.operator.kind == "attention")
    assert attention.weights == [2, 2]


@pytest.mark.parametrize("shape", [(48, 8), (50, 8), (7, 3)])
def test_a_dense_weight_is_one_block_a_block_row(shape: tuple[int, int]) -> None:
    weight = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    weight[0] = 0.0
    stored = whole(weight)
    stored.validate()
    np.testing.assert_array_equal(stored.to_dense(), weight)
    assert stored.nnz_blocks == stored.grid[0]


def test_an_unknown_pipeline_is_refused_by_name(pruned_tiny: Path, spec: TargetSpec) -> None:
    with pytest.raises(InputError, match=r"pipeline='stok'.*one of codesign, stock"):
        lower_encoder(pruned_tiny, block=None, batch=1, seq=16, spec=spec, pipeline="stok")
