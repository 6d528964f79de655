"""Real kernels: their inner loops hold the tile that was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codesign.blocks import BlockShape
from codesign.bsr import BSRMatrix
from codesign.compiler import MissingTask, TargetSpec, open_database
from codesign.compiler.operators import Linear, pack
from codesign.encoder import load_encoder, prunable_linears
from codesign.records import Results
from codesign.study.chain import Study
from codesign.study.layer import FIRST, HEAD, arrays, chosen, compiled, loop_of, scheduled

AVX2, AVX512 = TargetSpec("x86-64-v3", 8, 16, 2), TargetSpec("x86-64-v4", 16, 32, 2)


def linear(rows: int) -> Linear:
    return Linear(64, 48, 128, rows, 1, 64 // rows * 10, 1, "bias", 64, 2)


def tile(rows: int, vectors: int) -> dict[str, int]:
    return {"rows": rows, "vectors": vectors, "chains": 1, "rows_inner": 0, "slabs": 1, "prefetch": 0}


@pytest.mark.parametrize(
    ("spec", "block", "rows", "vectors"),
    [(AVX2, 4, 4, 2), (AVX2, 8, 4, 2), (AVX512, 8, 8, 2), (AVX512, 4, 4, 4)],
    ids=str,
)
def test_the_inner_loop_is_the_register_tile(spec: TargetSpec, block: int, rows: int, vectors: int) -> None:
    found = loop_of(compiled(scheduled(linear(block), spec, "token_tile", tile(rows, vectors)), spec))
    counts = found["counts"]
    steps = counts["fma"] // (rows * vectors)  # LLVM may unroll
    assert steps >= 1
    assert counts["fma"] == steps * rows * vectors
    assert (counts["broadcast"], counts["load"], counts["index"]) == (steps * rows, steps * vectors, steps)
    assert (counts["accumulators"], counts["chain"], counts["spill"]) == (rows * vectors, steps, 0)
    assert found["loop_bytes"] > 4 * counts["instructions"]


def test_a_tile_that_does_not_fit_spills() -> None:
    counts = loop_of(compiled(scheduled(linear(16), AVX512, "token_tile", tile(16, 4)), AVX512))["counts"]
    assert counts["spill"] > 16
    assert counts["accumulators"] < 64


def test_the_layer_that_is_listed_is_the_first_one_of_its_scope() -> None:
    model = load_encoder("bert-tiny")
    for scope, (name, _) in FIRST.items():
        assert name == next(iter(prunable_linears(model, scope)))


def test_what_is_shown_of_a_matrix_is_what_the_kernel_reads() -> None:
    rng = np.random.default_rng(0)
    weight = (rng.random((12, 30)) < 0.5).repeat(4, axis=0) * rng.standard_normal((48, 30))
    matrix = BSRMatrix.from_dense(weight.astype(np.float32), BlockShape(4, 1))
    shown = arrays(matrix, pack(matrix, 1))
    row = shown["block_row"]
    bits = np.unpackbits(np.frombuffer(bytes.fromhex("".join(shown["pattern"])), np.uint8).reshape(12, -1), axis=1)
    stored = weight.reshape(12, 4, 30).any(axis=1)
    assert (bits[:, :30].astype(bool) == stored).all()
    assert shown["heads"]["indices"] == np.flatnonzero(stored[row])[:HEAD].tolist()
    first = shown["heads"]["indices"][0]
    np.testing.assert_allclose(shown["heads"]["data"][0], weight[4 * row : 4 * row + 4, first], atol=1e-4)
    assert shown["heads"]["indptr"][:3] == [0, *stored.sum(axis=1).cumsum()[:2]]


def test_a_layer_that_was_not_tuned_is_refused(spec: TargetSpec, tmp_path: Path) -> None:
    study = Study(Results("local", tmp_path), "quick", "run", "one", tmp_path)
    open_database(study.results.tuning(spec.key), spec, create=True)
    with pytest.raises(MissingTask, match=r"linear_64x48_4x1_bias .* 03_tune"):
        chosen(study, linear(4), spec)
