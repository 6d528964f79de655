"""What counts as done: by point, profile, machine and code. The steps themselves are replaced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from codesign.errors import InputError, MissingRecord
from codesign.records import Results
from codesign.study import artefacts, chain, lowered, pruned, tuning
from codesign.study.chain import Study, open_study
from codesign.study.points import Case, Point, sweep

POINTS = sweep("bert-tiny", 0, ["attention", "all"], "magnitude", ["4x1", "32x1"], 0.8, 1, 32, 2)
PATTERN = {"allocation": "uniform", "element_sparsity": 0.8, "block_sparsity": 0.8, "retained_l2": 0.6, "matrices": []}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    return open_study("local", "quick")


@pytest.fixture
def pruned_points(study: Study, monkeypatch: pytest.MonkeyPatch) -> list[Point]:
    """Points in the order in which they were pruned; pruning writes the record and empty files."""
    done: list[Point] = []

    def prune(study: Study, point: Point) -> None:
        done.append(point)
        for path in pruned.files(study, point):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        study.append("pattern", PATTERN, point.fields())

    monkeypatch.setattr(pruned, "_prune", prune)
    return done


def test_opening_describes_the_machine_once_and_checks_its_parameters(study: Study) -> None:
    open_study("local", "default")
    assert [record["machine_id"] for record in study.results.read("machine")] == [study.machine_id]
    with pytest.raises(InputError, match=r"profile='fully' .* did you mean full"):
        open_study("local", "fully")


def test_records_of_one_command_share_their_run_id(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESIGN_RUN_ID", "the-run")
    assert open_study("book", "quick").run_id == "the-run"


def test_finished_points_are_not_pruned_again(study: Study, pruned_points: list[Point]) -> None:
    first = pruned.ensure_pruned(study, POINTS[:2])
    again = pruned.ensure_pruned(study, POINTS[:3])
    assert pruned_points == POINTS[:3]
    assert again[:2] == first
    assert [(record["scope"], record["block"]) for record in again] == [(p.scope, p.block) for p in POINTS[:3]]


@pytest.mark.parametrize("differs", ["profile", "machine_id", "measurement"])
def test_records_of_another_profile_machine_or_code_do_not_count(
    study: Study, pruned_points: list[Point], monkeypatch: pytest.MonkeyPatch, differs: str
) -> None:
    pruned.ensure_pruned(study, POINTS[:1])
    if differs == "measurement":
        monkeypatch.setattr(chain.KINDS["pattern"], "measurement_version", 99)
    else:
        study = replace(study, **{differs: "another"})
    assert not study.found("pattern", POINTS[0].fields())


def test_a_checkpoint_that_was_cleaned_away_is_made_again(study: Study, pruned_points: list[Point]) -> None:
    pruned.ensure_pruned(study, POINTS[:1])
    pruned.files(study, POINTS[0]).expected.unlink()
    pruned.ensure_pruned(study, POINTS[:1])
    assert len(pruned_points) == 2


def test_an_encoder_of_which_some_tasks_were_recorded_is_lowered_again(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run can be killed between two records."""
    case, again = Case("tvm-bsr", POINTS[0]), []
    sizes = {"task": "x", "weight": 1, "m": None, "n": None, "k": None, "nnz_blocks": None, "best_ns": None}
    rows = [sizes | {"digest": d, "family_kind": "other", "trials": 0, "decisions": None} for d in "abc"]
    monkeypatch.setattr(
        lowered, "lower", lambda *_: again.append(case) or SimpleNamespace(spec=SimpleNamespace(key="x"))
    )
    monkeypatch.setattr(lowered.compiler, "task_records", lambda *_: rows)
    for fields in rows[:2]:
        study.append("task", case.fields(), {"target": "x", "tasks": 3}, fields)
    for _ in range(2):
        assert [task["digest"] for task in lowered.ensure_lowered(study, [case])] == ["a", "b", "c"]
    assert len(again) == 1


def test_reading_does_no_work_and_names_who_does(study: Study, pruned_points: list[Point], tmp_path: Path) -> None:
    reading = replace(study, results=Results("xeon", tmp_path))
    with pytest.raises(MissingRecord, match="01_prune makes it"):
        pruned.ensure_pruned(reading, POINTS)
    assert not pruned_points


def test_later_steps_name_the_notebook_that_makes_what_they_need(study: Study, pruned_points: list[Point]) -> None:
    case = Case("tvm-bsr", POINTS[0])
    with pytest.raises(MissingRecord, match="01_prune makes it"):
        tuning.ensure_tuned(study, [case], 1)
    pruned.ensure_pruned(study, POINTS)
    with pytest.raises(MissingRecord, match="03_tune makes it"):
        artefacts.ensure_built(study, [case])
