"""What `make reproduce PROFILE=quick` left on this machine; skipped where it was not run."""

from __future__ import annotations

import json
from itertools import product

import pytest
from tests import quick_reference as reference

from codesign.records import KINDS, Record
from codesign.study import places, profile_file
from codesign.study.kernels import point_key

QUICK = profile_file.load(profile_file.path_of("quick"))


def quick(kind: str) -> list[Record]:
    """Records of the quick profile by the code as it is."""
    if not (found := places.results("local").read(kind, profile="quick", measurement=KINDS[kind].measurement_version)):
        pytest.skip("the quick profile was not run: make reproduce PROFILE=quick")
    return found


def test_masks_patterns_and_tasks_are_those_of_the_reference() -> None:
    assert quick("pattern")
    expected = json.loads(reference.REFERENCE.read_text(encoding="utf-8"))
    assert reference.differences(expected, reference.quick_facts()) == []


def test_kernels_were_searched_whole_and_timed_in_turns() -> None:
    records = quick("kernel")
    assert {record["status"] for record in records} == {"ok"}
    assert {(r["isa"], r["tokens"], r["block"]) for r in records if r["stage"] == "timed"} == {
        *product(("native",), (16,), ("dense", "32x1")),
    }
    screened = [(r["isa"], r["tokens"], r["block"], point_key(r)) for r in records if r["stage"] == "screened"]
    assert len(set(screened)) == len(screened)  # the second notebook found what the first had measured


def test_a_layer_was_listed_with_the_schedule_that_tuning_chose() -> None:
    listings, tasks = quick("listing"), quick("task")
    assert [record["block"] for record in listings] == QUICK["16_layer"]["blocks"]
    for record in listings:
        found = [task for task in tasks if task["nnz_blocks"] == record["operator"]["nnz"]]
        assert {"family": record["family"], **record["decisions"]} in [task["decisions"] for task in found]
        assert record["max_abs_err"] <= 1e-4
