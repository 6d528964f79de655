"""Patterns and shapes that nobody plans for: still right, and still shared fairly among threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.compiler.conftest import call, kernels
from tests.soak.patterns import KINDS, try_linear

from codesign import machine
from codesign.blocks import BlockShape
from codesign.bsr import BSRMatrix
from codesign.compiler import TargetSpec, target_spec
from codesign.compiler.operators import Attention, Linear, pack
from codesign.compiler.operators.base import as_matrix


def check_linear(
    size: tuple[int, int], block: str, stored: float, tokens: int, spec: TargetSpec, every: int = 1000
) -> None:
    """Every family's default decisions (``every`` 1: all of them) with each kind of pattern, against W @ X + residual.

    ``stored`` is the share of blocks that are not zero.
    """
    shape = BlockShape.parse(block)
    nnz = round(np.prod(shape.grid(size)) * stored)
    linear = Linear(*size, tokens, shape.rows, shape.cols, nnz, spec.threads, "bias_residual")
    compiled = kernels(linear, spec, every)
    assert compiled, "no family takes this shape"
    wrong = [
        f"{what}, {kind}"
        for what, kernel in compiled.items()
        for kind in (KINDS if 0 < stored < 1 else KINDS[:1])
        if not try_linear(np.random.default_rng(0), linear, kernel, kind)
    ]
    assert not wrong


@pytest.mark.parametrize("stored", [0.0, 0.4, 1.0])
def test_every_decision_computes_every_pattern(stored: float, spec: TargetSpec) -> None:
    check_linear((26, 11), "4x2", stored, 4 * spec.lanes, spec, every=1)


@pytest.mark.parametrize("block", ["7x5", "3x1", "64x1", "1x1", "1x32", "5x7", "48x48", "24x384", "100x3"])
def test_blocks_that_do_not_divide_a_matrix_of_384(block: str, spec: TargetSpec) -> None:
    check_linear((384, 384), block, 0.3, 3 * spec.lanes, spec)


@pytest.mark.parametrize("isa", ["avx2", "avx512"])
@pytest.mark.parametrize("threads", [1, 2])
def test_patterns_on_every_isa_and_number_of_threads(isa: str, threads: int) -> None:
    if isa == "avx512" and "avx512f" not in machine.describe().isa:
        pytest.skip("this machine has no AVX-512")
    spec = target_spec(threads, isa)
    for stored in (0.0, 0.3, 1.0):
        check_linear((50, 37), "3x1", stored, 2 * spec.lanes, spec)


@given(
    per_row=st.lists(st.integers(0, 50), min_size=1, max_size=60),
    shares=st.integers(1, 16),
    rows=st.integers(1, 4),
)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_no_thread_gets_more_than_its_part_and_one_block_row(per_row: list[int], shares: int, rows: int) -> None:
    """A block-row costs its blocks and an epilogue (+ 1), and is never split."""
    weight = np.zeros((rows * len(per_row), 50), np.float32)
    for row, count in enumerate(per_row):
        weight[rows * row : rows * (row + 1), :count] = 1.0
    packed = pack(BSRMatrix.from_dense(weight, BlockShape(rows, 1)), shares)
    cost = np.array(per_row) + 1
    parts = [cost[a:b].sum() for a, b in zip(packed.bounds, packed.bounds[1:], strict=False)]
    assert (packed.bounds[0], packed.bounds[-1], len(packed.bounds)) == (0, len(per_row), shares + 1)
    assert (np.diff(packed.bounds) >= 0).all()
    assert sum(parts) == cost.sum(), "every block-row belongs to one thread"
    assert max(parts) <= cost.sum() / shares + cost.max()


def test_a_full_row_among_empty_ones_does_not_drag_others_along() -> None:
    """64 block-rows, one of them full: the thread that has it gets little else."""
    weight = np.zeros((64, 640), np.float32)
    weight[5] = 1.0
    packed = pack(BSRMatrix.from_dense(weight, BlockShape(1, 1)), 2)
    blocks = np.diff(packed.indptr[packed.bounds])
    rows = np.diff(packed.bounds)
    assert sorted(blocks) == [0, 640]
    assert rows[np.argmax(blocks)] <= 6


@pytest.mark.parametrize("seq", [1, 5, 37])
def test_a_sequence_without_a_single_real_token_gives_finite_numbers(seq: int, spec: TargetSpec) -> None:
    padded = -(-seq // spec.lanes) * spec.lanes
    attention = Attention(batch=3, seq=seq, seq_padded=padded, heads=2, head_dim=8, slab=padded)
    query, key, value, bias = attention.example_inputs(np.random.default_rng(0))
    lowest = np.finfo(np.float32).min
    bias[:] = 0.0
    bias[1] = lowest  # nothing but padding
    bias[2, seq // 2 :] = lowest
    want = attention.oracle(query, key, value, bias)
    real = np.zeros((3, padded), bool)
    real[[0, 2] if seq // 2 else [0], :seq] = True  # with no key left in sequence 2, there is nothing to compare
    for what, kernel in kernels(attention, spec).items():
        got = call(kernel, [query, key, value, bias], want.shape)
        assert np.isfinite(got).all(), what
        compared = (as_matrix(each)[:, real.ravel()] for each in (got, want))
        np.testing.assert_allclose(*compared, atol=1e-5, rtol=0, err_msg=what)
