"""What records of tasks, of tuning and of campaigns say, counted."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import Memory, Record, identity, machine, point, searches, soak, task, tuning

from codesign.answers import effects
from codesign.answers.frames import Frames, frame
from codesign.answers.numbers import added_up
from codesign.answers.tasks import counted, newest_tasks, seconds_until_close
from codesign.compiler.operators import Linear
from codesign.errors import InputError, MissingRecord
from codesign.schema import validate

CURVE: list[list[float | None]] = [[1, 8, None], [2, 16, 300], [30, 24, 104], [60, 32, 101], [90, 64, 100]]


def value(records: list[Record], key: str) -> Any:
    found = effects.value(Frames(Memory(records)), key)
    return getattr(found, "value", found)


def nothing(curve: list[list[float | None]]) -> Record:
    return tuning("tvm-bsr", curve=curve, **point("all", "32x1"), from_nothing=True)


def budgets(others: list[int]) -> list[Record]:
    """Return the tasks of a uniform budget, and those of a global one, of both models."""
    stored = {"uniform": [60] * len(others), "global": others}
    return [identity(model, "32x1", name, each) for model in ("bert-base", "minilm") for name, each in stored.items()]


def test_the_invented_records_follow_the_schema() -> None:
    for record in [*searches(768), nothing([[1.0, 8, None]]), *budgets([60, 61]), soak("kills", 0)]:
        validate(record)


def test_sparse_tasks_are_those_of_the_newest_run() -> None:
    older = [task("all", "4x1", f"old{i}", 1, run_id="older") for i in range(9)]
    records = [*older, *(task("all", "4x1", name, 6) for name in ("a", "b", "b")), task("all", "32x1", "c", 5)]
    assert [value(records, f"sparse-{what}.all.4x1") for what in ("tasks", "uses")] == [2, 12]
    assert value(records, "uses-per-task.all") == 5
    assert list(newest_tasks(frame(records))["digest"]) == ["a", "b", "c"]
    with pytest.raises(MissingRecord, match="03_tune"):
        value([], "sparse-tasks.all.4x1")


def test_tuning_is_close_when_it_stays_within_a_twentieth_of_its_end() -> None:
    assert seconds_until_close(nothing(CURVE)) == 30
    assert value([tuning(), nothing(CURVE)], "tuning-margin") == 6  # three minutes over half of one
    slow = nothing([[90, 24, 104], [120, 64, 100]])
    found = effects.value(Frames(Memory([nothing(CURVE), slow, slow])), "tuning-margin")
    assert (found.value, found.low, found.high) == (2, 2, 6)  # type: ignore[union-attr]
    assert [value([tuning("tvm-bsr"), nothing(CURVE)], key) for key in ("tuning-close", "tuning-runs")] == [30, 1]
    for lacking in ([nothing([[1, 8, None]])], [tuning()]):
        with pytest.raises(MissingRecord, match="10_search"):
            value(lacking, "tuning-margin")


def test_tasks_are_counted_by_operator_and_layers_stored_whole_are_none() -> None:
    record = identity("minilm", "32x1", "global", [60, 61, 61, 90])
    blocks = 12 * 384
    whole = asdict(Linear(12, 16, 8, 12, 16, 1, 2, "bias"))
    dense = {"digest": "d", "weight": 3, "family_kind": "dense", "linear": whole}
    (row,) = counted(frame([record | {"tasks": [*record["tasks"], dense]}]), 0.5).to_dict("records")
    assert {name: row[name] for name in ("tasks", "sparse", "uses", "whole", "most", "least", "padded")} == {
        **{"tasks": 4, "sparse": 3, "uses": 4, "whole": 3},
        **{"most": 2, "least": 1, "padded": 1},
    }
    assert (row["emptiest"], row["fullest"]) == (60 / blocks, 90 / blocks)
    assert row["added"] == pytest.approx(4 * (blocks / 2) / 272 - 1)
    assert counted(frame([record | {"tasks": [dense]}]), 0.5).empty


@pytest.mark.parametrize("bucket", [0.0, -0.1, 1.5])
def test_a_bucket_is_a_share(bucket: float) -> None:
    with pytest.raises(InputError, match=f"bucket={bucket}"):
        counted(frame(budgets([60])), bucket)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 12 * 384), min_size=1, max_size=5), st.floats(0.001, 1))
def test_padding_takes_no_block_away_and_joins_tasks(stored: list[int], bucket: float) -> None:
    (row,) = counted(frame([identity("minilm", "32x1", "global", stored)]), bucket).to_dict("records")
    assert 1 <= row["padded"] <= row["sparse"] == len(set(stored))
    assert 0 <= row["added"] * sum(stored) < len(stored) * max(1, round(bucket * 12 * 384)) + 1e-6


def test_effects_compare_a_global_budget_with_a_uniform_one() -> None:
    records = budgets([56, 57, 58, 59])
    assert (value(records, "task-reuse"), value(records, "tasks-alike")) == (4, 1)  # all of them are in one bucket
    assert value(budgets([10, 300, 500]), "tasks-alike") == pytest.approx(1 / 3)
    more = [identity("minilm", "4x1", "uniform", [7] * 2), identity("minilm", "4x1", "global", [7, 8])]
    assert value([*records, *more], "task-reuse") == 2, "the least shape of the least model decides"


@pytest.mark.parametrize("gone", range(4))
def test_a_case_that_is_missing_is_named(gone: int) -> None:
    left = budgets([56, 57])
    del left[gone]
    with pytest.raises(MissingRecord, match="12_identity"):
        value(left, "task-reuse")


def test_campaigns_are_added_up_by_subject_each_round_once() -> None:
    rounds = [soak("kills", 0, lost=1), soak("kills", 0), soak("kills", 1, lost=2, defects=["gone"])]
    found = added_up(frame([*rounds, soak("kills", 1, "time", count=0), soak("kills", 2, "tried", count=0)]))
    assert found.loc["prune"].to_dict() == {"count": 10, "refused": 4, "lost": 0, "wrong": 0, "defects": 0}
    assert list(found.index) == ["prune"], "what was never tried has no row"
    assert added_up(frame(rounds)).loc["prune"].to_dict() == {
        **{"count": 20, "refused": 8, "lost": 2},
        **{"wrong": 0, "defects": 1},
    }


def test_numbers_of_campaigns_hide_nothing() -> None:
    records = [machine(), soak("kills", 0), soak("inputs", 0, "shapes", count=2000, wrong=1, defects=["x"])]
    assert [value(records, f"soak.{what}") for what in ("lost", "wrong", "defects", "count")] == [0, 1, 1, 2010]
    with pytest.raises(MissingRecord):
        value([machine()], "soak.lost")
    with pytest.raises(InputError, match="one of count"):
        value(records, "soak.found")
