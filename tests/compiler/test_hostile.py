"""Patterns and shapes that nobody plans for: still right, and still shared fairly among threads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.compiler.conftest import run

from codesign import machine
from codesign.blocks import BlockShape
from codesign.bsr import BSRMatrix
from codesign.compiler import TargetSpec, build, lower_encoder, target_spec
from codesign.compiler.operators import Attention, Linear, pack
from codesign.compiler.operators.base import as_matrix, as_slabs
from codesign.compiler.schedules import applicable
from codesign.encoder import load_encoder, prunable_linears, save_checkpoint
from codesign.forward import EncoderForward

#: float32 sums of up to 384 terms against float64, relative to the largest output.
TOLERANCE = 2e-5
#: Runs an artefact in a process of its own, since loading pins the thread that loads.
RUN = """
import sys
import numpy as np
from codesign.runtime import load
inputs = np.load(sys.argv[2])
np.save(sys.argv[3], load(sys.argv[1])(inputs["ids"], inputs["mask"]))
"""


def pattern(name: str, outputs: int, inputs: int, block: BlockShape) -> np.ndarray:
    """Weight float32 [outputs, inputs] whose non-zero blocks are laid out as ``name`` says."""
    rng = np.random.default_rng(0)
    rows, cols = block.grid((outputs, inputs))
    stored = np.zeros((rows, cols), bool)
    match name:
        case "nothing":
            pass
        case "everything":
            stored[:] = True
        case "one full row":
            stored[rows // 2] = True
        case "first and last row":
            stored[[0, -1]] = True
        case "one full column":
            stored[:, cols // 2] = True
        case "every other row empty":
            stored[::2] = rng.random((len(stored[::2]), cols)) < 0.3
        case "a triangle":
            stored = np.tri(rows, cols, dtype=bool)
        case "one block in the corner":
            stored[-1, -1] = True
    mask = np.kron(stored, np.ones((block.rows, block.cols), bool))[:outputs, :inputs]
    return np.where(mask, rng.standard_normal((outputs, inputs)), 0).astype(np.float32)


PATTERNS = (
    *("nothing", "everything", "one full row", "first and last row", "one full column"),
    *("every other row empty", "a triangle", "one block in the corner"),
)


def check_linear(weight: np.ndarray, block: BlockShape, tokens: int, spec: TargetSpec, every: bool) -> None:
    """Every family's default decisions (``every``: all of them) against W @ X in double precision."""
    matrix = BSRMatrix.from_dense(weight, block)
    sizes = (*weight.shape, tokens, block.rows, block.cols, matrix.nnz_blocks, spec.threads)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((weight.shape[1], tokens)).astype(np.float32)
    bias, residual = (rng.standard_normal((weight.shape[0], n)).astype(np.float32) for n in (1, tokens))
    linear = Linear(*sizes, "bias_residual")
    want = weight.astype(np.float64) @ x + bias + residual
    families = applicable(linear, spec)
    assert families, "no family takes this shape"
    for _, family in families:
        points = family.points(linear, spec)
        for decisions in points if every else points[:1]:
            slabs = [as_slabs(array, linear.slab) for array in (x, residual)]
            inputs = [slabs[0], *pack(matrix, spec.threads), bias[:, 0], slabs[1]]
            got = run(family.generate(linear, spec, decisions), inputs, linear.arguments()[-1].shape, spec)
            np.testing.assert_allclose(
                as_matrix(got), want, atol=TOLERANCE * np.abs(want).max(), rtol=0, err_msg=str(decisions)
            )


@pytest.mark.parametrize("name", PATTERNS)
def test_every_decision_computes_a_hostile_pattern(name: str, spec: TargetSpec) -> None:
    block = BlockShape(4, 2)
    check_linear(pattern(name, 26, 11, block), block, 4 * spec.lanes, spec, every=True)


@pytest.mark.parametrize("block", ["7x5", "3x1", "64x1", "1x1", "1x32", "5x7", "48x48", "24x384", "100x3"])
@pytest.mark.parametrize("name", ["every other row empty", "a triangle"])
def test_blocks_that_do_not_divide_a_matrix_of_384(block: str, name: str, spec: TargetSpec) -> None:
    shape = BlockShape.parse(block)
    check_linear(pattern(name, 384, 384, shape), shape, 3 * spec.lanes, spec, every=False)


@pytest.mark.parametrize("isa", ["avx2", "avx512"])
@pytest.mark.parametrize("threads", [1, 2])
def test_hostile_patterns_on_every_isa_and_number_of_threads(isa: str, threads: int) -> None:
    if isa == "avx512" and "avx512f" not in machine.describe().isa:
        pytest.skip("this machine has no AVX-512")
    block = BlockShape(3, 1)
    spec = target_spec(threads, isa)
    for name in ("nothing", "one full row", "everything"):
        check_linear(pattern(name, 50, 37, block), block, 2 * spec.lanes, spec, every=False)


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


# -- attention: padded keys, padded queries ------------------------------------------------------------------------


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
    for _, family in applicable(attention, spec):
        for decisions in family.points(attention, spec):
            function = family.generate(attention, spec, decisions)
            got = run(function, [query, key, value, bias], want.shape, spec)
            assert np.isfinite(got).all(), decisions
            real = np.zeros((3, padded), bool)
            real[[0, 2], :seq] = True
            if seq // 2:  # with no key left in sequence 2, there is nothing to compare
                columns = real.ravel()
                np.testing.assert_allclose(as_matrix(got)[:, columns], as_matrix(want)[:, columns], atol=1e-5, rtol=0)


# -- end to end ----------------------------------------------------------------------------------------------------


def hostile_encoder(directory: Path, block: BlockShape) -> None:
    """bert-tiny whose matrices have one hostile pattern each, in turn."""
    model = load_encoder("bert-tiny", seed=3)
    with torch.no_grad():
        for number, linear in enumerate(prunable_linears(model, "all").values()):
            outputs, inputs = linear.weight.shape
            mask = pattern(PATTERNS[number % len(PATTERNS)], outputs, inputs, block) != 0
            linear.weight *= torch.from_numpy(mask)
    save_checkpoint(model, directory, {})


@pytest.mark.parametrize(("block", "batch", "seq"), [("4x1", 2, 37), ("7x5", 2, 37), ("64x1", 3, 5), ("1x1", 1, 1)])
def test_a_hostile_encoder_equals_pytorch_under_masks_that_differ(
    block: str, batch: int, seq: int, spec: TargetSpec, tmp_path: Path
) -> None:
    shape = BlockShape.parse(block)
    hostile_encoder(tmp_path / "model", shape)
    lowered = lower_encoder(tmp_path / "model", block=shape, batch=batch, seq=seq, spec=spec)
    assert lowered.bsr_linears, "some matrices are stored in blocks"
    assert lowered.dense_linears, "and the full ones whole"
    build(lowered, None, tmp_path / "artifact")
    rng = np.random.default_rng(0)
    ids = rng.integers(0, lowered.about["vocabulary"], (batch, seq))
    lengths = [max(1, seq - 9 * number) for number in range(batch)]
    mask = (np.arange(seq) < np.array(lengths)[:, None]).astype(np.int64)
    np.savez(tmp_path / "inputs.npz", ids=ids, mask=mask)
    paths = [str(tmp_path / name) for name in ("artifact", "inputs.npz", "out.npy")]
    done = subprocess.run([sys.executable, "-c", RUN, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with torch.no_grad():
        forward = EncoderForward(load_encoder(str(tmp_path / "model")))
        want = forward(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
    assert np.abs(np.load(tmp_path / "out.npy") - want).max() <= 1e-4
