"""What counts as done: by point, profile, machine and code; sessions as a whole. The steps themselves are replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codesign.errors import InputError, MissingRecord
from codesign.records import Results
from codesign.study import chain, compiled, pruned, timed, tuned
from codesign.study.chain import Study, open_study
from codesign.study.points import Case, Point, sweep

POINTS = sweep(
    model="bert-tiny",
    seed=0,
    scopes=["attention", "all"],
    pruner="magnitude",
    blocks=["dense", "4x1", "32x1"],
    sparsity=0.8,
    batch=1,
    seq=32,
    threads=2,
)
PATTERN = {"allocation": "uniform", "element_sparsity": 0.8, "block_sparsity": 0.8, "retained_l2": 0.6, "matrices": []}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    return open_study("local", "smoke")


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


def test_opening_local_results_describes_the_machine_once(study: Study) -> None:
    open_study("local", "report")
    assert [record["machine_id"] for record in study.results.read("machine")] == [study.machine_id]


def test_opening_checks_its_parameters(study: Study) -> None:
    with pytest.raises(InputError, match=r"profile='raport' .* did you mean report"):
        open_study("local", "raport")


def test_records_of_one_command_share_their_run_id(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESIGN_RUN_ID", "the-run")
    assert open_study("reference", "smoke").run_id == "the-run"


def test_finished_points_are_not_pruned_again(study: Study, pruned_points: list[Point]) -> None:
    first = pruned.ensure_pruned(study, POINTS[:2])
    again = pruned.ensure_pruned(study, POINTS[:3])
    assert pruned_points == POINTS[:3]
    assert again[:2] == first
    assert [record["block"] for record in again] == ["dense", "4x1", "32x1"]


@pytest.mark.parametrize("differs", ["profile", "machine_id", "code"])
def test_records_of_another_profile_machine_or_code_do_not_count(
    study: Study, pruned_points: list[Point], monkeypatch: pytest.MonkeyPatch, differs: str
) -> None:
    pruned.ensure_pruned(study, POINTS[:1])
    if differs == "code":
        monkeypatch.setattr(chain, "code_digest", lambda: "another")
    else:
        study = replace(study, **{differs: "another"})
    assert not study.found("pattern", POINTS[0].fields())


def test_a_checkpoint_that_was_cleaned_away_is_made_again(study: Study, pruned_points: list[Point]) -> None:
    pruned.ensure_pruned(study, POINTS[:1])
    pruned.files(study, POINTS[0]).expected.unlink()
    pruned.ensure_pruned(study, POINTS[:1])
    assert len(pruned_points) == 2


def test_reading_does_no_work_and_names_who_does(study: Study, pruned_points: list[Point], tmp_path: Path) -> None:
    reading = replace(study, results=Results("reference", tmp_path))
    with pytest.raises(MissingRecord, match="01_prune makes it"):
        pruned.ensure_pruned(reading, POINTS)
    assert not pruned_points


def test_later_steps_name_the_notebook_that_makes_what_they_need(study: Study, pruned_points: list[Point]) -> None:
    case = Case("tvm-bsr", POINTS[1])
    with pytest.raises(MissingRecord, match="01_prune makes it"):
        tuned.ensure_tuned(study, [case], 1)
    pruned.ensure_pruned(study, POINTS)
    with pytest.raises(MissingRecord, match="03_tune makes it"):
        compiled.ensure_built(study, [case])


def test_sessions_have_the_references_the_dense_engines_and_every_shape() -> None:
    dense, attention, *_ = POINTS
    first, second, slow = timed.sessions(POINTS, stock=True)
    fixed = [Case(name, dense) for name in ("torch-eager", "openvino", "tvm-dense", "tvm-stock-tuned")]
    assert first == [*fixed, Case("tvm-bsr", attention), Case("tvm-bsr", POINTS[2])]
    assert second == [*fixed, *(Case("tvm-bsr", point) for point in POINTS[3:])]
    assert slow == [*fixed[:2], Case("tvm-stock-default", dense)]


def test_sessions_without_stock_or_without_the_dense_point() -> None:
    engines = [[case.engine for case in session] for session in timed.sessions(POINTS, stock=False)]
    assert engines == [["torch-eager", "openvino", "tvm-dense", "tvm-bsr", "tvm-bsr"]] * 2
    engines = [[case.engine for case in session] for session in timed.sessions(POINTS[1:3], stock=True)]
    assert engines == [["torch-eager", "openvino", "tvm-bsr", "tvm-bsr"]]


def test_what_several_sessions_use_is_compiled_once() -> None:
    cases = timed.compiled_cases(POINTS, stock=True)
    assert [case.engine for case in cases].count("tvm-dense") == 1
    assert len(cases) == len(set(cases)) == 4 + 3


LATENCY: dict[str, Any] = {
    "samples_ns": [1, 2],
    "rounds": [1, 1],
    "warmup_ns": [],
    "solo_ns": [1],
    "max_abs_err": 0.0,
    "block_sparsity": 0.8,
    "element_sparsity": 0.8,
    "status": "ok",
    "reason": None,
    "settings": {},
    "control": None,
    "flagged": False,
    "flag_reason": None,
}


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Session ids in the order in which sessions ran; a session writes a record for each case and the control."""
    done: list[str] = []

    def run(study: Study, cases: Sequence[Case]) -> None:
        done.append(f"session-{len(done)}")
        for case, control in [*((case, None) for case in cases), (cases[0], "A/A")]:
            study.append("latency", LATENCY, case.fields(), {"session_id": done[-1], "control": control})

    monkeypatch.setattr(timed, "_run", run)
    return done


def test_finished_sessions_are_not_run_again(study: Study, ran: list[str]) -> None:
    first = timed.ensure_timed(study, POINTS)
    assert ran == ["session-0", "session-1", "session-2"]
    assert timed.ensure_timed(study, POINTS) == first
    assert len(ran) == 3
    assert [record["session_id"] for record in first].count("session-0") == 7
    assert sum(record["control"] == "A/A" for record in first) == 3


def test_a_new_shape_is_timed_beside_all_others_again(study: Study, ran: list[str]) -> None:
    timed.ensure_timed(study, POINTS[:2], stock=False)
    timed.ensure_timed(study, POINTS[:3], stock=False)
    assert ran == ["session-0", "session-1"]


def test_reading_sessions_does_not_run_them(study: Study, ran: list[str], tmp_path: Path) -> None:
    with pytest.raises(MissingRecord, match="04_latency"):
        timed.ensure_timed(replace(study, results=Results("reference", tmp_path)), POINTS)
    assert not ran


def test_progress_says_how_much_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(chain.track(["a", "b"], "pruning")) == ["a", "b"]
    first, second = capsys.readouterr().err.splitlines()
    assert first == "pruning 1/2: a"
    assert second == "pruning 2/2: b, about 0 s left"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89, "89 s"), (100, "2 min"), (45 * 60, "45 min"), (3 * 3600 + 1200, "3 h 20 min")],
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert chain.duration(seconds) == text
