"""What search records say, and what tuning from nothing takes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import Memory, point, search, searches, tuning

from codesign.errors import MissingRecord
from codesign.schema import validate
from codesign.study.evidence import Evidence
from codesign.study.numbers import numbers
from codesign.study.searched import compared, margin, seconds_until_close

BOTH = [*searches(768), *searches(3072)]


def nothing(curve: list[list[float | None]], **changes: object) -> dict:
    return tuning("tvm-bsr", curve=curve, **point("all", "32x1"), from_nothing=True, **changes)


def test_the_invented_records_follow_the_schema() -> None:
    for record in [*BOTH, nothing([[1.0, 8, None]])]:
        validate(record)


def test_what_was_not_tuned_is_named() -> None:
    with pytest.raises(MissingRecord, match="10_search"):
        margin(Evidence(Memory([])))


def test_tuning_is_close_when_it_stays_within_a_twentieth_of_its_end() -> None:
    curve: list[list[float | None]] = [[1, 8, None], [2, 16, 300], [30, 24, 104], [60, 32, 101], [90, 64, 100]]
    assert seconds_until_close(nothing(curve)) == 30
    evidence = Evidence(Memory([tuning(), nothing(curve)]))
    assert margin(evidence).value == 6  # three minutes over half of one
    slow: list[list[float | None]] = [[90, 24, 104], [120, 64, 100]]
    repeated = margin(Evidence(Memory([nothing(curve), nothing(slow), nothing(slow)])))
    assert (repeated.value, repeated.low, repeated.high) == (2, 2, 6)
    with pytest.raises(MissingRecord):
        seconds_until_close(nothing([[1, 8, None]]))


def test_runs_from_nothing_are_told_from_those_that_went_on() -> None:
    curve: list[list[float | None]] = [[30, 24, 104], [90, 64, 100]]
    values = numbers(Memory([tuning("tvm-bsr", trials=64), nothing(curve, trials=77)]))
    assert values["nothing.close"] == "30 s"
    assert values["nothing.trials"] == "77"
    assert values["nothing.runs"] == "1"


def test_the_table_has_a_row_a_task_and_dashes_for_what_did_not_run() -> None:
    row, other = compared([*searches(), search(3072, "exhaustive", [200.0])])
    assert (row["stock_rules"], row["stock_rules_trials"], row["rank"]) == ("2", "3", "2 of 10")
    assert (other["exhaustive"], other["scheduler"], other["rank"]) == ("5", "-", "-")
