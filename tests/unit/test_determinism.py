"""What must come out again, and how a difference is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.test_records import POINT_FIELDS

from codesign import machine
from codesign.blocks import BlockShape
from codesign.encoder import load_encoder, save_checkpoint
from codesign.prune import prune_model
from codesign.study import determinism
from codesign.study.chain import Study, open_study
from codesign.study.determinism import first_difference


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    return open_study("local", "smoke")


@pytest.mark.parametrize(
    ("want", "got", "text"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 1}}, None),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "a / b / 1 expected, 2 found"),
        ({"a": 1, "b": 2}, {"a": 1}, "b: missing"),
        ({"a": 1}, {"a": 1, "c": 2}, "c: not expected"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "a / 1 / 2 expected, 3 found"),
        ({"a": [1, 2]}, {"a": [1]}, "a / 2 expected, 1 found"),
        ({"a": 0.1}, {"a": 0.1 + 1e-12}, None),
        ({"a": 0.1}, {"a": 0.1001}, "a / 0.1 expected, 0.1001 found"),
        ({"a": "x"}, {"a": None}, "a / 'x' expected, None found"),
    ],
)
def test_the_first_difference_is_named(want: object, got: object, text: str | None) -> None:
    assert first_difference(want, got) == text


def test_masks_come_out_again_and_differ_by_seed(tmp_path: Path) -> None:
    found = []
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        model = load_encoder("bert-tiny", seed=seed)
        prune_model(model, scope="all", pruner="magnitude", block=BlockShape(4, 1), sparsity=0.8, seed=seed)
        save_checkpoint(model, tmp_path / name / "model", {})
        found.append(determinism.masks(tmp_path / name)["model"])
    assert found[0] == found[1]
    assert len(found[0]) == 12
    assert all(found[0][name] != found[2][name] for name in found[0])


def test_a_task_counts_with_its_newest_record_and_without_its_time(study: Study) -> None:
    task = {"engine": "tvm-bsr", "isa": "native", "target": "x", "task": "t", "digest": "d", "family_kind": "bsr"}
    task |= {"weight": 2, "m": 16, "n": 8, "k": 8, "nnz_blocks": 3, "decisions": None}
    for best in (None, 5.0):
        study.append("task", POINT_FIELDS, task, {"trials": 0, "best_ns": best})
    ((_, tasks),) = determinism.facts(study)["tasks"].items()
    assert tasks == ["task=t family_kind=bsr weight=2 m=16 n=8 k=8 nnz_blocks=3"]


def test_the_committed_reference_is_that_of_the_smoke_profile(study: Study) -> None:
    reference = json.loads(determinism.REFERENCE.read_text())
    assert set(reference) == {"masks", "patterns", "tasks"}
    assert set(reference["masks"]) == determinism.smoke_masks(study)
    assert {name.split()[0] for name in reference["patterns"]} == {"bert-tiny"}
    assert machine.describe().machine_id not in determinism.REFERENCE.read_text()
