"""Every operator and every point of every family against a dense double-precision oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.compiler.conftest import call, kernels, run

from codesign import machine
from codesign.blocks import BlockShape
from codesign.bsr import BSRMatrix
from codesign.compiler import TargetSpec, target_spec
from codesign.compiler.operators import (
    Attention,
    LayerNorm,
    Linear,
    Operator,
    ToFeatureMajor,
    ToTokenMajor,
    operator_of,
    pack,
)
from codesign.compiler.operators.base import as_slabs
from codesign.compiler.schedules import applicable, find_family, refusals
from codesign.compiler.schedules.linear import balanced
from codesign.compiler.tvm_compat import tirx
from codesign.errors import InputError

# a compilation takes tens of milliseconds, more under load; what is tested is the result
COMPILES = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

OPERATORS: list[Operator] = [
    Attention(batch=2, seq=13, seq_padded=16, heads=3, head_dim=8, slab=16),
    Attention(batch=1, seq=32, seq_padded=32, heads=2, head_dim=12, slab=32),
    Attention(batch=2, seq=61, seq_padded=64, heads=2, head_dim=4, slab=32),
    LayerNorm(features=24, tokens=32, epsilon=1e-12, slab=32),
    LayerNorm(features=24, tokens=96, epsilon=1e-12, slab=48),
    LayerNorm(features=7, tokens=16, epsilon=1e-5, slab=16),
    ToFeatureMajor(batch=2, seq=13, seq_padded=16, features=24, slab=16),
    ToTokenMajor(batch=2, seq=13, seq_padded=16, features=7, slab=16),
    ToFeatureMajor(batch=2, seq=45, seq_padded=48, features=24, slab=16),
    ToTokenMajor(batch=2, seq=45, seq_padded=48, features=7, slab=16),
    LayerNorm(features=48, tokens=10, epsilon=1e-12, slab=1),
    LayerNorm(features=256, tokens=7, epsilon=1e-5, slab=1),
    Attention(batch=2, seq=13, seq_padded=13, heads=3, head_dim=16, slab=1),
    Attention(batch=1, seq=32, seq_padded=32, heads=2, head_dim=32, slab=1),
    Attention(batch=1, seq=3, seq_padded=3, heads=1, head_dim=64, slab=1),
]


EPILOGUES = ["bias", "bias_gelu", "bias_residual"]


@st.composite
def linears(draw: st.DrawFn) -> Linear:
    """Draw any shape, any block, any density, any epilogue; blocks need not divide the matrix."""
    outputs, inputs = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    block = BlockShape(draw(st.integers(1, min(outputs, 9))), draw(st.integers(1, min(inputs, 9))))
    rows, cols = block.grid((outputs, inputs))
    slabs, width = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    return Linear(
        outputs=outputs,
        inputs=inputs,
        tokens=16 * slabs * width,
        rows=block.rows,
        cols=block.cols,
        nnz=draw(st.integers(0, rows * cols)),
        shares=draw(st.integers(1, 3)),
        epilogue=draw(st.sampled_from(EPILOGUES)),
        slab=16 * width,
        token_shares=draw(st.sampled_from([share for share in (1, 2, 3) if slabs % share == 0])),
        strip=draw(st.sampled_from([rows for rows in range(1, block.rows + 1) if block.rows % rows == 0])),
    )


@st.composite
def token_major_linears(draw: st.DrawFn) -> Linear:
    """Draw any matrix of whole vectors of outputs, any block of whole vectors of rows, any number of tokens."""
    outputs, inputs, token_shares = 16 * draw(st.integers(1, 7)), draw(st.integers(1, 40)), draw(st.integers(1, 3))
    block = BlockShape(16 * draw(st.integers(1, 4)), draw(st.integers(1, min(inputs, 9))))
    rows, cols = block.grid((outputs, inputs))
    tokens, nnz = token_shares * draw(st.integers(1, 23)), draw(st.integers(0, rows * cols))
    sizes = outputs, inputs, tokens, block.rows, block.cols, nnz, draw(st.integers(1, 2))
    return Linear(*sizes, draw(st.sampled_from(EPILOGUES)), slab=1, token_shares=token_shares)


def check(function: tirx.PrimFunc, operator: Operator, inputs: list[np.ndarray], spec: TargetSpec) -> None:
    want = operator.oracle(*inputs)
    near(run(function, inputs, want.shape, spec), want)


def inputs_of(operator: Operator) -> list[np.ndarray]:
    return operator.example_inputs(np.random.default_rng(0))


def names(operator: Operator, spec: TargetSpec) -> list[str]:
    return [family.name for _, family in applicable(operator, spec)]


def check_points(operator: Operator, spec: TargetSpec, every: int = 1, inputs: list[np.ndarray] | None = None) -> None:
    """Check one in ``every`` points of every family."""
    inputs = inputs or inputs_of(operator)
    want = operator.oracle(*inputs)
    for what, kernel in kernels(operator, spec, every).items():
        near(call(kernel, inputs, want.shape), want, what)


def near(got: np.ndarray, want: np.ndarray, what: str = "") -> None:
    np.testing.assert_allclose(got, want, atol=2e-5 * max(1.0, np.abs(want).max()), rtol=0, err_msg=what)


@given(linear=linears())
@example(linear=Linear(32, 8, 64, 32, 8, 1, 2, "bias"))  # one dense panel
@example(linear=Linear(8, 8, 16, 4, 1, 0, 2, "bias_gelu"))  # nothing stored at all
@COMPILES
def test_unscheduled_linear_equals_the_oracle(linear: Linear, spec: TargetSpec) -> None:
    check(linear.unscheduled(), linear, inputs_of(linear), spec)


@given(linear=linears(), data=st.data())
@COMPILES
def test_every_family_computes_any_linear(linear: Linear, data: st.DataObject, spec: TargetSpec) -> None:
    for _, family in applicable(linear, spec):
        decisions = data.draw(st.sampled_from(family.points(linear, spec)))
        check(family.generate(linear, spec, decisions), linear, inputs_of(linear), spec)


@given(linear=token_major_linears(), data=st.data())
@COMPILES
def test_any_token_major_linear_of_whole_vectors(linear: Linear, data: st.DataObject, spec: TargetSpec) -> None:
    assert names(linear, spec) == ["token_major_linear"]
    family = find_family("token_major_linear")
    decisions = data.draw(st.sampled_from(family.points(linear, spec)))
    check(family.generate(linear, spec, decisions), linear, inputs_of(linear), spec)


@pytest.mark.parametrize(("strip", "families"), [(0, ["token_tile", "row_tile"]), (4, ["token_tile"])])
@pytest.mark.parametrize("shape", [(16, 1), (32, 1), (48, 2), (64, 3), (32, 32)])
def test_every_point_of_tall_blocks(shape: tuple[int, int], strip: int, families: list[str], spec: TargetSpec) -> None:
    """Blocks of whole vectors, which both families of linears take; the last block-row reaches beyond the matrix."""
    epilogue = "bias_gelu" if shape[0] == 32 else "bias_residual"
    linear = Linear(100, 70, 96, *shape, 3, 1, epilogue, slab=48, token_shares=2, strip=strip)
    assert names(linear, spec) == families
    check_points(linear, spec, 5)


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda o: f"{o.kind}-{'-'.join(map(str, vars(o).values()))}")
def test_every_point_of_every_other_operator(operator: Operator, spec: TargetSpec) -> None:
    check(operator.unscheduled(), operator, inputs_of(operator), spec)
    assert all(name.startswith("token_major") == (getattr(operator, "slab", 0) == 1) for name in names(operator, spec))
    check_points(operator, spec)


@pytest.mark.parametrize("per_row", [[0, 0, 12, 0, 0, 0], [12, 12, 12, 12, 12, 12], [0, 1, 2, 3, 4, 12]])
def test_ragged_rows_are_correct_and_shared_by_non_zeros(per_row: list[int], spec: TargetSpec) -> None:
    rng = np.random.default_rng(0)
    weight = np.zeros((24, 12), np.float32)
    for row, count in enumerate(per_row):
        weight[4 * row : 4 * row + 4, :count] = rng.standard_normal((4, count))
    matrix = BSRMatrix.from_dense(weight, BlockShape(4, 1))
    packed = pack(matrix, spec.threads)
    linear = Linear(24, 12, 32, 4, 1, matrix.nnz_blocks, spec.threads, "bias")
    x, bias = rng.standard_normal((12, 32)).astype(np.float32), rng.standard_normal(24).astype(np.float32)
    check_points(linear, spec, inputs=[as_slabs(x, 32), *packed, bias])
    shares = np.diff(packed.indptr[packed.bounds])
    assert shares.sum() == matrix.nnz_blocks
    assert shares.max() <= matrix.nnz_blocks / spec.threads + max(per_row)


def test_strips_of_a_block_row_follow_each_other() -> None:
    weight = np.zeros((8, 5), np.float32)
    weight[:4, [1, 3]] = [[11, 13], [21, 23], [31, 33], [41, 43]]
    weight[4:, 2] = [52, 62, 72, 82]
    packed = pack(BSRMatrix.from_dense(weight, BlockShape(4, 1)), 1, 2)
    assert packed.data[:, 0].tolist() == [[11, 21], [13, 23], [31, 41], [33, 43], [52, 62], [72, 82]]
    np.testing.assert_array_equal(packed.indices, [1, 3, 2])
    empty = pack(BSRMatrix.from_dense(np.zeros((8, 5), np.float32), BlockShape(4, 1)), 1, 2)
    assert empty.data.shape == (2, 1, 2)


def test_strips_divide_a_block_and_whole_ones_do_not_show_in_a_task() -> None:
    with pytest.raises(InputError, match="did you mean 32"):
        Linear(64, 64, 64, 32, 1, 40, 2, "bias", strip=5)
    assert Linear(64, 64, 64, 32, 1, 40, 2, "bias", strip=32) == Linear(64, 64, 64, 32, 1, 40, 2, "bias")
    assert "strip" not in Linear(64, 64, 64, 32, 1, 40, 2, "bias").attributes()
    in_strips = Linear(64, 64, 64, 32, 1, 40, 2, "bias", strip=4)
    assert operator_of(in_strips.unscheduled()) == in_strips


@pytest.mark.parametrize("isa", ["avx2", "avx512"])
def test_tiles_fit_the_registers_of_each_isa(isa: str) -> None:
    if isa == "avx512" and "avx512f" not in machine.describe().isa:
        pytest.skip("this machine has no AVX-512")
    spec = target_spec(threads=2, isa=isa)
    linear = Linear(64, 64, 64, 32, 1, 40, 2, "bias")
    family = find_family("token_tile")
    points = family.points(linear, spec)
    assert points
    assert all(point["rows"] * point["vectors"] < spec.registers for point in points)
    check(family.generate(linear, spec, points[0]), linear, inputs_of(linear), spec)


def test_a_family_that_cannot_says_why(spec: TargetSpec) -> None:
    linear = Linear(8, 8, spec.lanes + 1, 4, 1, 2, 1, "bias")
    assert applicable(linear, spec) == []
    assert refusals(linear, spec) == {
        "token_tile": f"{spec.lanes + 1} token columns are not whole vectors of {spec.lanes}",
        "row_tile": f"4 rows of a block are not whole vectors of {spec.lanes}",
        "token_major_linear": f"activations lie feature-major, in slabs of {spec.lanes + 1} tokens",
    }


@given(count=st.integers(1, 300))
def test_token_major_tiles_divide_tokens_about_evenly(count: int) -> None:
    for size in balanced(count):
        assert 1 <= size <= count
        tiles = -(-count // size)
        assert tiles * size - count < tiles, "no tile could be smaller with as many of them"


class _Zeros(np.random.Generator):
    """Draws a zero now and then, as float32 normals do once in some ten million."""

    def standard_normal(self, *arguments: Any, **options: Any) -> Any:
        values = super().standard_normal(*arguments, **options)
        values.flat[::3] = 0
        return values


def test_example_weights_have_every_stored_block() -> None:
    linear = Linear(8, 8, 16, 1, 1, 20, 1, "bias")
    inputs = linear.example_inputs(_Zeros(np.random.PCG64(0)))
    assert [array.shape for array in inputs] == [argument.shape for argument in linear.arguments()[:-1]]


def test_an_operator_survives_the_ir(spec: TargetSpec) -> None:
    linear = Linear(8, 8, 16, 4, 1, 2, 1, "bias_gelu")
    assert operator_of(linear.unscheduled()) == linear
    _, family = applicable(linear, spec)[0]
    assert operator_of(family.generate(linear, spec, family.points(linear, spec)[0])) == linear


def test_the_inner_loop_keeps_its_tile_in_registers_and_walks_the_stored_blocks(wide: TargetSpec) -> None:
    linear = Linear(64, 64, 64, 4, 1, 200, 2, "bias")
    _, family = applicable(linear, wide)[0]
    script = family.generate(linear, wide, family.points(linear, wide)[0]).script()
    assert "T.parallel(2)" in script
    assert script.count("T.alloc_buffer((16,))") == 16  # on the stack, one a register
    assert "T.vectorized(16)" in script
    assert script.count("indptr[") >= 2
