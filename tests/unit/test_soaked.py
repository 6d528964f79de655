"""What campaigns found, added up: each round once, and nothing that was found is left out."""

from __future__ import annotations

from tests.synthetic import Memory, machine, soak

from codesign.study.evidence import Evidence
from codesign.study.soaked import added_up, soak_numbers


def test_rounds_are_added_up_by_subject() -> None:
    records = [soak("kills", 0), soak("kills", 1, lost=2, defects=["gone"]), soak("kills", 1, "time"), soak("disk", 0)]
    found = added_up(records[:2] + records[3:], "kills")
    assert found["prune"] == {
        **{"count": 20, "refused": 8, "lost": 2, "wrong": 0, "defects": ["gone"]},
        "settings": {"SIGKILL": 14, "SIGINT": 6},
    }


def test_a_round_that_was_run_again_counts_once() -> None:
    records = [soak("kills", 0, lost=1), soak("kills", 0), soak("kills", 1)]
    assert added_up(records, "kills")["prune"]["count"] == 20
    assert added_up(records, "kills")["prune"]["lost"] == 0


def test_a_subject_that_was_never_tried_has_no_row() -> None:
    assert added_up([soak("disk", 0, "none", count=0)], "disk") == {}


def test_numbers_hide_nothing() -> None:
    records = [machine(), soak("kills", 0), soak("inputs", 0, "block shapes", count=2000, wrong=1, defects=["x"])]
    numbers = dict(soak_numbers(Evidence(Memory(records))))
    assert numbers["soak.kills.count"] == "10"
    assert numbers["soak.kills.prune.SIGKILL"] == "7"
    assert numbers["soak.kills.minutes"] == "2 min"
    assert numbers["soak.inputs.block_shapes"] == "2,000"
    assert (numbers["soak.lost"], numbers["soak.wrong"], numbers["soak.defects"]) == ("0", "1", "1")


def test_without_records_there_are_no_numbers() -> None:
    assert dict(soak_numbers(Evidence(Memory([machine()])))) == {}
