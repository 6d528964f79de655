"""Other layouts and storage: families against a double-precision oracle, encoders against PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.compiler.test_schedules import COMPILES, check, inputs_of

from codesign.blocks import BlockShape
from codesign.compiler import TargetSpec, build, extract_tasks, lower_encoder
from codesign.compiler.operators import Attention, LayerNorm, Linear, Operator
from codesign.compiler.operators.linear import panel_rows, strip_of, strip_rows
from codesign.compiler.schedules import applicable, find_family
from codesign.compiler.schedules.linear import balanced
from codesign.compiler.slabs import TOKEN_MAJOR, slabs_for
from codesign.encoder import example_inputs, load_encoder, save_checkpoint
from codesign.engines import Job
from codesign.engines.client import Worker
from codesign.errors import InputError
from codesign.forward import EncoderForward
from codesign.prune import prune_model

OPERATORS: list[Operator] = [
    LayerNorm(features=48, tokens=10, epsilon=1e-12, slab=1),
    LayerNorm(features=256, tokens=7, epsilon=1e-5, slab=1),
    Attention(batch=2, seq=13, seq_padded=13, heads=3, head_dim=16, slab=1),
    Attention(batch=1, seq=32, seq_padded=32, heads=2, head_dim=32, slab=1),
    Attention(batch=1, seq=3, seq_padded=3, heads=1, head_dim=64, slab=1),
]


@st.composite
def linears(draw: st.DrawFn) -> Linear:
    """Draw any matrix of whole vectors of outputs, any block of whole vectors of rows, any number of tokens."""
    outputs, inputs = 16 * draw(st.integers(1, 7)), draw(st.integers(1, 40))
    block = BlockShape(16 * draw(st.integers(1, 4)), draw(st.integers(1, min(inputs, 9))))
    rows, cols = block.grid((outputs, inputs))
    token_shares = draw(st.integers(1, 3))
    return Linear(
        outputs=outputs,
        inputs=inputs,
        tokens=token_shares * draw(st.integers(1, 23)),
        rows=block.rows,
        cols=block.cols,
        nnz=draw(st.integers(0, rows * cols)),
        shares=draw(st.integers(1, 2)),
        epilogue=draw(st.sampled_from(["bias", "bias_gelu", "bias_residual"])),
        slab=1,
        token_shares=token_shares,
    )


@given(linear=linears(), data=st.data())
@COMPILES
def test_any_linear_of_whole_vectors(linear: Linear, data: st.DataObject, spec: TargetSpec) -> None:
    assert [family.name for _, family in applicable(linear, spec)] == ["token_major_linear"]
    family = find_family("token_major_linear")
    decisions = data.draw(st.sampled_from(family.points(linear, spec)))
    check(family.generate(linear, spec, decisions), linear, inputs_of(linear), spec)


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda o: f"{o.kind}-{'-'.join(map(str, vars(o).values()))}")
def test_every_point_of_the_rest_of_an_encoder(operator: Operator, spec: TargetSpec) -> None:
    inputs = inputs_of(operator)
    check(operator.unscheduled(), operator, inputs, spec)
    [(_, family)] = applicable(operator, spec)
    assert family.name.startswith("token_major")
    for decisions in family.points(operator, spec):
        check(family.generate(operator, spec, decisions), operator, inputs, spec)


@pytest.mark.parametrize("count", [1, 5, 16, 37, 64])
def test_tiles_of_tokens_waste_little(count: int) -> None:
    for size in balanced(count):
        assert 1 <= size <= count
        tiles = -(-count // size)
        assert tiles * size - count < tiles, "no tile could be smaller with as many of them"


def test_tokens_are_not_padded(spec: TargetSpec) -> None:
    slabs = slabs_for(2, 37, spec, TOKEN_MAJOR)
    assert (slabs.padded, slabs.slab) == (37, 1)
    assert slabs.token_shares * slabs.row_shares == spec.threads


@pytest.mark.parametrize(
    ("layout", "batch", "seq", "block"),
    [
        *((TOKEN_MAJOR, 1, 16, "32x1"), (TOKEN_MAJOR, 2, 37, "16x4"), (TOKEN_MAJOR, 1, 5, None)),
        *(("float16", 1, 16, "32x1"), ("float16", 2, 37, "4x1")),
        *(("whole blocks", 1, 16, "32x1"), ("whole blocks", 2, 37, "7x5"), ("whole blocks", 1, 5, None)),
    ],
)
def test_an_encoder_equals_pytorch(
    tmp_path: Path, layout: str, batch: int, seq: int, block: str | None, spec: TargetSpec
) -> None:
    model = load_encoder("bert-tiny", seed=0)
    shape = None if block is None else BlockShape.parse(block)
    if shape is not None:
        prune_model(model, scope="all", pruner="magnitude", block=shape, sparsity=0.8, seed=0)
    save_checkpoint(model, tmp_path / "model", {})
    others: dict[str, dict[str, Any]] = {"whole blocks": {"strips": False}, "float16": {"dtype": "float16"}}
    how = others.get(layout, {"layout": layout})
    lowered = lower_encoder(tmp_path / "model", block=shape, batch=batch, seq=seq, spec=spec, **how)
    kinds = {task.operator.kind for task in extract_tasks([lowered]) if task.operator is not None}
    changes = set() if layout == TOKEN_MAJOR else {"to_feature_major", "to_token_major"}
    assert kinds == {"linear", "attention", "layer_norm"} | changes
    build(lowered, None, tmp_path / "artifact")
    inputs = example_inputs(model, batch, seq, 0)
    inputs["attention_mask"][-1, seq - 2 :] = 0
    np.savez(tmp_path / "inputs.npz", **inputs)
    paths = (str(tmp_path / name) for name in ("model", "artifact", "inputs.npz"))
    with Worker(Job("tvm-bsr", *paths, threads=spec.threads)) as worker:  # loading pins the process
        worker.prepare()
        got, _ = worker.output()
    with torch.inference_mode():
        want = EncoderForward(model)(*map(torch.from_numpy, inputs.values())).numpy()
    real = inputs["attention_mask"].astype(bool)
    np.testing.assert_allclose(got[real], want[real], atol=5e-3 if layout == "float16" else 2e-5)


def test_blocks_of_few_rows_are_refused_with_the_next_that_fits(pruned_tiny: Path, spec: TargetSpec) -> None:
    nearest = f"did you mean {spec.lanes}x1"
    with pytest.raises(InputError, match=nearest):
        lower_encoder(pruned_tiny, block=BlockShape(4, 1), batch=1, seq=16, spec=spec, layout=TOKEN_MAJOR)
    with pytest.raises(InputError, match="did you mean feature-major"):
        lower_encoder(pruned_tiny, block=None, batch=1, seq=16, spec=spec, layout="row-major")


def test_activations_in_wide_slabs_are_not_for_these_families(spec: TargetSpec) -> None:
    linear = Linear(64, 64, 64, 32, 1, 40, 2, "bias")
    refusal = find_family("token_major_linear").space(linear, spec)
    assert isinstance(refusal, str)
    assert "slabs of 64 tokens" in refusal


def test_strips_are_as_high_as_a_register_tile_over_the_vectors_of_a_slab() -> None:
    assert [strip_rows(vectors) for vectors in (1, 2, 3, 4, 8)] == [16, 8, 4, 4, 4]
    assert [panel_rows(vectors) for vectors in (1, 2, 3, 4, 8)] == [24, 12, 8, 6, 6]
    assert [strip_of(rows, 4) for rows in (1, 4, 6, 7, 8, 32)] == [1, 4, 6, 7, 4, 4]
    assert [strip_of(rows, 1) for rows in (4, 8, 16, 24, 64)] == [4, 8, 16, 24, 16]


@pytest.mark.parametrize(("seq", "strip", "panel"), [(16, 16, 24), (128, 4, 6)])
def test_an_encoder_stores_strips_unless_told_otherwise(
    tmp_path: Path, seq: int, strip: int, panel: int, spec: TargetSpec
) -> None:
    model = load_encoder("minilm", seed=0)
    prune_model(model, scope="attention", pruner="magnitude", block=BlockShape(32, 1), sparsity=0.8, seed=0)
    save_checkpoint(model, tmp_path, {})
    for strips, rows in ((True, {(32, strip), (panel, panel)}), (False, {(32, 32), (12, 12)})):
        lowered = lower_encoder(tmp_path, block=BlockShape(32, 1), batch=1, seq=seq, spec=spec, strips=strips)
        linears = [task.operator for task in extract_tasks([lowered]) if isinstance(task.operator, Linear)]
        assert {(linear.rows, linear.strip) for linear in linears} == rows
