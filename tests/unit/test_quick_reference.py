"""What must come out again, and how a difference is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests import quick_reference as reference
from tests.unit.test_records import POINT_FIELDS

from codesign import machine
from codesign.blocks import BlockShape
from codesign.encoder import load_encoder, save_checkpoint
from codesign.prune import prune_model
from codesign.study.chain import Study, open_study


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    return open_study("local", "quick")


@pytest.mark.parametrize(
    ("want", "got", "found"),
    [
        ({"a": {"b": 1, "c": [0.1, "x", None]}}, {"a": {"b": 1, "c": [0.1 + 1e-12, "x", None]}}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a / b: 1 expected, 2 found"]),
        ({"a": 1, "b": 2}, {"a": 1, "c": 3}, ["b: 2 expected, 'nothing' found", "c: 'nothing' expected, 3 found"]),
        ({"a": [1, 2]}, {"a": [1]}, ["a / 1: 2 expected, 'nothing' found"]),
        ({"a": 0.1}, {"a": 0.1001}, ["a: 0.1 expected, 0.1001 found"]),
        ({"a": "x"}, {"a": None}, ["a: 'x' expected, None found"]),
    ],
)
def test_differences_are_named(want: object, got: object, found: list[str]) -> None:
    assert reference.differences(want, got) == found


def test_masks_come_out_again_and_differ_by_seed(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        model = load_encoder("bert-tiny", seed=seed)
        prune_model(model, scope="all", pruner="magnitude", block=BlockShape(4, 1), sparsity=0.8, seed=seed)
        save_checkpoint(model, tmp_path / name, {})
    found = reference.masks(tmp_path)
    assert found["one"] == found["two"]
    assert len(found["one"]) == 12
    assert all(found["one"][name] != found["three"][name] for name in found["one"])


def test_a_task_counts_with_its_newest_record_and_without_its_time(study: Study) -> None:
    task = {"engine": "tvm-bsr", "isa": "native", "target": "x", "task": "t", "digest": "d", "family_kind": "bsr"}
    task |= {"weight": 2, "m": 16, "n": 8, "k": 8, "nnz_blocks": 3, "decisions": None, "tasks": 1}
    for best in (None, 5.0):
        study.append("task", POINT_FIELDS, task, {"trials": 0, "best_ns": best})
    ((_, tasks),) = reference.facts(study)["tasks"].items()
    assert tasks == ["task=t family_kind=bsr weight=2 m=16 n=8 k=8 nnz_blocks=3"]


def test_the_committed_reference_is_that_of_the_quick_profile(study: Study) -> None:
    text = reference.REFERENCE.read_text()
    found = json.loads(text)
    assert set(found) == {"masks", "patterns", "tasks"}
    assert sorted(found["masks"]) == reference.quick_masks(study)
    assert {name.split()[0] for name in found["patterns"]} == {"bert-tiny"}
    assert machine.describe().machine_id not in text
