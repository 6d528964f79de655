"""Linears in int8: bit for bit what NumPy says of the same whole numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.compiler.conftest import Alone, call, kernels, run
from tests.compiler.test_build import reference
from tests.compiler.test_schedules import COMPILES, inputs_of, linears, names, near

from codesign.blocks import BlockShape
from codesign.bsr import BSRMatrix
from codesign.compiler import TargetSpec, build, lower_encoder
from codesign.compiler.formats.int8 import LARGEST_ACTIVATION, quantised
from codesign.compiler.instructions import PAIRS
from codesign.compiler.layout import TOKEN_MAJOR
from codesign.compiler.operators import Linear, Operator, Rounded, TokenSteps, operator_of
from codesign.compiler.operators.packing import pack
from codesign.compiler.schedules import find_family, refusals
from codesign.compiler.tvm_compat import IRBuilder, T, tirx
from codesign.encoder import example_inputs, load_encoder, prunable_linears, save_checkpoint
from codesign.errors import InputError
from codesign.prune import prune_model

INT8 = linears().map(lambda linear: replace(linear, tokens=2 * linear.tokens, slab=2 * linear.slab, format="int8"))


def products(emit: Callable[[Any, Any, int], Any], lanes: int) -> tirx.PrimFunc:
    """One vector of sums of products of neighbours."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        a, b = (T.arg(name, T.buffer((2 * lanes,), "int16")) for name in "ab")
        y, whole = T.arg("y", T.buffer((lanes,), "float32")), T.ramp(0, 1, 2 * lanes)
        with T.sblock("root"):
            T.buffer_store(y, T.cast(emit(a[whole], b[whole], lanes), f"float32x{lanes}"), [T.ramp(0, 1, lanes)])
    return builder.get()


@pytest.mark.parametrize("emit", [PAIRS.emit, PAIRS.meaning], ids=["instruction", "meaning"])
def test_the_instruction_does_what_it_means(emit: Callable[..., Any], spec: TargetSpec) -> None:
    a, b = np.random.default_rng(0).integers(-(2**15) + 1, 2**15, (2, 2 * spec.lanes)).astype(np.int16)
    a[:2], b[:2] = 2**15 - 1, -(2**15) + 1
    want = (a.astype(np.int64) * b).reshape(-1, 2).sum(1).astype(np.float32)
    function = products(emit, spec.lanes)
    assert ("pmadd" in function.script()) == (emit == PAIRS.emit)
    np.testing.assert_array_equal(run(function, [a, b], want.shape, spec), want)


def exact(linear: Linear) -> tuple[list[np.ndarray], np.ndarray]:
    """Inputs of which nothing but sums of whole numbers reaches the output, and that."""
    x, data, indices, indptr, bounds, bias, scales, steps, *residual = inputs_of(linear)
    zeros = [np.zeros_like(each) for each in residual]
    plain = [x, data, indices, indptr, bounds, 0 * bias, np.ones_like(scales), np.ones_like(steps), *zeros]
    return plain, linear.oracle(*plain).astype(np.float32)


@given(linear=INT8.filter(lambda linear: linear.epilogue != "bias_gelu"), data=st.data())
@example(linear=Linear(8, 8, 32, 4, 1, 0, 1, "bias", format="int8"), data=None)  # nothing stored
@COMPILES
def test_sums_are_exact(linear: Linear, data: st.DataObject | None, spec: TargetSpec) -> None:
    inputs, want = exact(linear)
    np.testing.assert_array_equal(run(linear.unscheduled(), inputs, want.shape, spec), want)
    family = find_family("token_tile")
    points = family.points(linear, spec)
    decisions = data.draw(st.sampled_from(points)) if data else points[0]
    np.testing.assert_array_equal(run(family.generate(linear, spec, decisions), inputs, want.shape, spec), want)


@pytest.mark.parametrize("operator", [TokenSteps(24, 64, 32), Rounded(24, 64, 32), Rounded(7, 16, 16)], ids=repr)
def test_activations_are_rounded_token_by_token(operator: Operator, spec: TargetSpec) -> None:
    inputs = inputs_of(operator)
    inputs[0][0, :, 3] = 0  # a token of zeros
    inputs[0][0, 5] *= 60  # a feature as BERT has them
    if isinstance(operator, Rounded):
        inputs[1] = TokenSteps(*vars(operator).values()).oracle(inputs[0]).astype(np.float32)
    want = operator.oracle(*inputs)
    dtype = operator.arguments()[-1].dtype
    for what, kernel in kernels(operator, spec).items():
        got = call(kernel, inputs, want.shape, dtype)
        np.testing.assert_allclose(got, want.astype(dtype), rtol=0 if dtype == "int16" else 1e-6, err_msg=what)
    assert abs(want).max() <= LARGEST_ACTIVATION


def test_an_encoder_with_outlying_features_equals_pytorch(alone: Alone, spec: TargetSpec, tmp_path: Path) -> None:
    """One feature of every hidden state is sixty times as large as others; a matrix, and rows of another, are zero."""
    model = load_encoder("bert-tiny", seed=2)
    prune_model(model, scope="all", pruner="random", block=BlockShape(4, 1), sparsity=0.7, seed=0)
    for name, parameter in model.named_parameters():
        if name.endswith("LayerNorm.weight"):
            parameter.data[5] *= 60
    first, second, *_ = prunable_linears(model, "all").values()
    first.weight.data[:] = 0
    second.weight.data[:12] = 0
    save_checkpoint(model, tmp_path / "model", {})
    sizes = {"block": BlockShape(4, 1), "batch": 2, "seq": 37, "spec": spec}
    build(lower_encoder(tmp_path / "model", **sizes, format="int8"), None, tmp_path / "int8")
    inputs = example_inputs(model, 2, 37, seed=0)
    got, want = alone(tmp_path / "int8", inputs), reference(tmp_path / "model", inputs)
    others = np.arange(want.shape[-1]) != 5
    for features in (others, ~others):
        error = np.abs(got - want)[..., features].max()
        assert error < 5e-3 * np.abs(want[..., features]).max()


@pytest.mark.parametrize("options", [{"pipeline": "stock"}, {"layout": TOKEN_MAJOR}], ids=str)
def test_int8_is_refused_where_it_is_not_to_be_had(
    options: dict[str, Any], pruned_tiny: Path, spec: TargetSpec
) -> None:
    with pytest.raises(InputError, match="feature-major encoder of our own pipeline; did you mean fp32"):
        lower_encoder(pruned_tiny, block=None, batch=1, seq=16, spec=spec, format="int8", **options)


@pytest.mark.parametrize("shape", [(1, 1), (4, 1), (4, 4), (3, 3), (32, 1), (32, 32), (6, 70)])
def test_every_point_of_every_epilogue(shape: tuple[int, int], spec: TargetSpec) -> None:
    """Blocks that are joined in pairs, deep ones, strips, and whole panels; the last block-row reaches too far."""
    epilogue = {1: "bias_gelu", 32: "bias_residual"}.get(shape[0], "bias")
    block = BlockShape(*shape)
    rows, columns = block.grid((100, 70))
    nnz = rows * columns if columns == 1 else max(3, rows * columns // 5)
    sizes = Linear(100, 70, 256, *shape, nnz, 1, epilogue, slab=64, token_shares=2, strip=4 * (shape[0] == 32))
    linear = replace(sizes, format="int8")
    assert names(linear, spec) == ["token_tile"]
    inputs = inputs_of(linear)
    want = linear.oracle(*inputs)
    for what, kernel in kernels(linear, spec, 12).items():
        near(call(kernel, inputs, want.shape), want, what)


def test_the_largest_sums_do_not_overflow(spec: TargetSpec) -> None:
    """A row of equal weights has the largest sum; its steps are as wide as the sum needs."""
    weight = np.full((2, 3072), 0.5, np.float32)
    matrix, scales = quantised(BSRMatrix.from_dense(weight, BlockShape(2, 3072)))
    assert 2**30 < LARGEST_ACTIVATION * int(matrix.data[0, 0].astype(int).sum()) < 2**31
    np.testing.assert_allclose(matrix.data[0] * scales[:, None], weight, rtol=0.05)
    linear = Linear(2, 3072, 64, 2, 3072, 1, 1, "bias", format="int8")
    x, _, _, _, _, bias, scales, steps = exact(linear)[0]
    packed = pack(matrix, *linear.packing())
    inputs = [np.full_like(x, LARGEST_ACTIVATION), *packed, bias, scales, steps]
    want = linear.oracle(*inputs)
    for kernel in kernels(linear, spec, 9).values():
        np.testing.assert_array_equal(call(kernel, inputs, want.shape), want.astype(np.float32))


def test_weights_are_rounded_row_by_row_and_zeros_stay() -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((22, 10)).astype(np.float32) * np.logspace(-3, 3, 22)[:, None].astype(np.float32)
    weight[:4] = weight[8:12, :4] = 0
    weight[5] = 0  # inside blocks that are kept
    matrix, scales = quantised(BSRMatrix.from_dense(weight, BlockShape(4, 2)))
    assert (matrix.data.dtype, scales.shape) == (np.int8, (22,))
    back = np.zeros((6, 5, 4, 2))
    back[np.repeat(np.arange(6), np.diff(matrix.indptr)), matrix.indices] = matrix.data
    back = back.transpose(0, 2, 1, 3).reshape(24, 10)[:22] * scales[:, None]
    assert (np.abs(back - weight) <= 0.5001 * scales[:, None]).all()
    assert not back[weight == 0].any()
    np.testing.assert_allclose(np.abs(back).max(1), np.abs(weight).max(1), rtol=1e-6)


def test_blocks_of_one_input_are_joined_in_pairs() -> None:
    weight = np.zeros((4, 5), np.float32)
    weight[:2, [0, 3, 4]] = [[1, 2, 3], [4, 5, 6]]
    linear = Linear(4, 5, 32, 2, 1, 3, 1, "bias", format="int8")
    data, indices, indptr, bounds = pack(BSRMatrix.from_dense(weight, BlockShape(2, 1)), *linear.packing())
    assert data[:2, 0].tolist() == [[1, 2, 4, 5], [3, 0, 6, 0]]
    assert indices[:2].tolist() == [[0, 3], [4, 4]]
    assert (indptr.tolist(), bounds.tolist()) == ([0, 2, 2], [0, 2])
    assert [array.shape for array in (data, indices)] == [each.shape for each in linear.arguments()[1:3]]


def test_a_format_is_part_of_a_task_where_it_is_not_float32(spec: TargetSpec) -> None:
    plain = Linear(64, 64, 64, 32, 1, 40, 2, "bias")
    assert "format" not in plain.attributes()
    linear = replace(plain, format="int8")
    assert operator_of(linear.unscheduled()) == linear
    reasons = refusals(replace(linear, tokens=8, slab=8), spec)
    assert reasons["row_tile"] == "its lanes take one input at once, and those of int8 2"
    assert "whole vectors" in reasons["token_tile"]
    with pytest.raises(InputError, match="did you mean int8"):
        replace(plain, format="int4")
