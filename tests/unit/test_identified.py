"""Task identity: buckets take no block away, and the counts of records are those of their operators."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import Memory, identity

from codesign.compiler.operators import Linear
from codesign.errors import InputError, MissingRecord
from codesign.schema import validate
from codesign.study.evidence import Evidence
from codesign.study.identified import alike, linears, padding, reuse, rows
from codesign.study.tasks import all_blocks, bucketed


@pytest.mark.parametrize("bucket", [0.0, -0.1, 1.5])
def test_a_bucket_is_a_share(bucket: float) -> None:
    with pytest.raises(InputError, match=f"bucket={bucket}"):
        bucketed(Linear(24, 16, 8, 4, 1, 5, 2, "bias"), bucket)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 96), st.floats(0.001, 1))
def test_a_bucket_never_takes_blocks_away_and_is_idempotent(nnz: int, bucket: float) -> None:
    linear = Linear(24, 16, 8, 4, 1, nnz, 2, "bias")
    grown = bucketed(linear, bucket)
    assert nnz <= grown.nnz <= all_blocks(linear) == 96
    assert grown.nnz - nnz < max(1, round(bucket * 96))
    assert bucketed(grown, bucket) == grown
    assert replace(grown, nnz=nnz) == linear


def test_records_are_counted_by_operator() -> None:
    record = identity("minilm", "32x1", "global", [60, 61, 61, 90])
    validate(record)
    assert sorted(linears(record).values()) == [1, 1, 2]
    assert len(linears(record, 0.5)) == 1
    (row,) = rows([record], 0.5)
    assert (row["sparse"], row["uses"], row["most"], row["least"], row["padded"]) == (3, 4, 2, 1, 1)
    blocks = all_blocks(next(iter(linears(record))))
    assert row["added"] == padding(record, 0.5) == pytest.approx(4 * (blocks / 2) / 272 - 1)


def test_a_record_is_of_operators_and_not_of_stored_whole_layers() -> None:
    record = identity("minilm", "32x1", "global", [60])
    whole = {
        "digest": "d",
        "weight": 3,
        "family_kind": "dense",
        "linear": asdict(Linear(12, 16, 8, 12, 16, 1, 2, "bias")),
    }
    (row,) = rows([record | {"tasks": [*record["tasks"], whole]}], 0.05)
    assert (row["tasks"], row["sparse"], row["whole"]) == (2, 1, 3)


def records(others: list[int]) -> list[dict]:
    found = []
    for model in ("bert-base", "minilm"):
        found.append(identity(model, "32x1", "uniform", [60] * len(others)))
        found.append(identity(model, "32x1", "global", others))
    return found


def test_effects_compare_a_global_budget_with_a_uniform_one() -> None:
    evidence = Evidence(Memory(records([56, 57, 58, 59])))
    assert reuse(evidence).value == 4
    assert alike(evidence).value == 1  # all of them are in one bucket
    assert alike(Evidence(Memory(records([10, 300, 500])))).value == pytest.approx(1 / 3)


def test_the_least_shape_of_the_least_model_decides() -> None:
    more = [identity("minilm", "4x1", "uniform", [7] * 2), identity("minilm", "4x1", "global", [7, 8])]
    assert reuse(Evidence(Memory([*records([56, 57, 58, 59]), *more]))).value == 2


@pytest.mark.parametrize("gone", range(4))
def test_a_case_that_is_missing_is_named(gone: int) -> None:
    left = records([56, 57])
    del left[gone]
    with pytest.raises(MissingRecord, match="12_identity"):
        reuse(Evidence(Memory(left)))
