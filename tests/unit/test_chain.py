"""What counts as done: by point, profile, machine and code; sessions as a whole. The steps themselves are replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
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
    blocks=["4x1", "32x1"],
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
    assert [(record["scope"], record["block"]) for record in again] == [
        ("attention", "4x1"),
        ("attention", "32x1"),
        ("all", "4x1"),
    ]


@pytest.mark.parametrize("differs", ["profile", "machine_id", "code"])
def test_records_of_another_profile_machine_or_code_do_not_count(
    study: Study, pruned_points: list[Point], monkeypatch: pytest.MonkeyPatch, differs: str
) -> None:
    pruned.ensure_pruned(study, POINTS[:1])
    if differs == "code":
        monkeypatch.setattr(chain, "code_digest", lambda kind: "another")
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
    case, lowered = Case("tvm-bsr", POINTS[0]), []
    sizes = {"task": "x", "weight": 1, "m": None, "n": None, "k": None, "nnz_blocks": None, "best_ns": None}
    rows = [sizes | {"digest": d, "family_kind": "other", "trials": 0, "decisions": None} for d in "abc"]
    monkeypatch.setattr(
        compiled, "lower", lambda *_: lowered.append(case) or SimpleNamespace(spec=SimpleNamespace(key="x"))
    )
    monkeypatch.setattr(compiled.compiler, "task_records", lambda *_: rows)
    for fields in rows[:2]:
        study.append("task", case.fields(), {"target": "x", "tasks": 3}, fields)
    assert [task["digest"] for task in compiled.ensure_lowered(study, [case])] == ["a", "b", "c"]
    compiled.ensure_lowered(study, [case])
    assert len(lowered) == 1


def test_reading_does_no_work_and_names_who_does(study: Study, pruned_points: list[Point], tmp_path: Path) -> None:
    reading = replace(study, results=Results("reference", tmp_path))
    with pytest.raises(MissingRecord, match="01_prune makes it"):
        pruned.ensure_pruned(reading, POINTS)
    assert not pruned_points


def test_later_steps_name_the_notebook_that_makes_what_they_need(study: Study, pruned_points: list[Point]) -> None:
    case = Case("tvm-bsr", POINTS[0])
    with pytest.raises(MissingRecord, match="01_prune makes it"):
        tuned.ensure_tuned(study, [case], 1)
    pruned.ensure_pruned(study, POINTS)
    with pytest.raises(MissingRecord, match="03_tune makes it"):
        compiled.ensure_built(study, [case])


STUDY = (*timed.OURS, *timed.STOCK)


def test_sessions_have_the_references_the_dense_engines_and_every_shape() -> None:
    first, second, slow = timed.sessions(POINTS, engines=STUDY)
    for cases, shapes in ((first, POINTS[:2]), (second, POINTS[2:])):
        given = shapes[1]  # 32x1: all dense engines get the weights of one shape, which the sparse one has, too
        dense = [Case(name, given) for name in ("torch-eager", "openvino", "tvm-dense", "tvm-stock-tuned")]
        assert cases == [*dense, *(Case("tvm-bsr", point) for point in shapes)]
    assert slow == [Case(name, POINTS[3]) for name in ("torch-eager", "openvino", "tvm-stock-default")]


def test_sparse_engines_of_others_run_the_shapes_that_are_asked_for() -> None:
    engines = ("onnxruntime", "tvm-bsr", "deepsparse", "torch-bsr", "openvino")
    first, _ = timed.sessions(POINTS, engines=engines, peer_blocks=["32x1", "1x1"])
    assert [(case.engine, case.point.block) for case in first] == [
        *((name, "32x1") for name in ("torch-eager", "openvino", "onnxruntime")),
        *(("tvm-bsr", block) for block in ("4x1", "32x1")),
        ("deepsparse", "32x1"),
        ("torch-bsr", "32x1"),
    ]
    everything, _ = timed.sessions(POINTS, engines=engines)
    assert len(everything) == len(first) + 2


def test_what_several_sessions_use_is_compiled_once() -> None:
    cases = timed.compiled_cases(POINTS)
    assert [case.engine for case in cases].count("tvm-dense") == 2  # the weights of each scope
    assert [case.engine for case in cases].count("tvm-stock-default") == 1
    assert len(cases) == len(set(cases)) == 4 + 2 + 2 + 1


def test_only_engines_that_leave_zeros_out_store_blocks() -> None:
    assert {case.engine for case in timed.compiled_cases(POINTS) if case.block != "dense"} == {"tvm-bsr"}


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
    monkeypatch.setattr(timed, "_file_bytes", lambda study, case: 0)
    return done


def test_finished_sessions_are_not_run_again(study: Study, ran: list[str]) -> None:
    first = timed.ensure_timed(study, POINTS, engines=STUDY)
    assert ran == ["session-0", "session-1", "session-2"]
    assert timed.ensure_timed(study, POINTS, engines=STUDY) == first
    assert len(ran) == 3
    assert [record["session_id"] for record in first].count("session-0") == 7
    assert sum(record["control"] == "A/A" for record in first) == 3


def test_a_new_shape_is_timed_beside_all_others_again(study: Study, ran: list[str]) -> None:
    timed.ensure_timed(study, POINTS[:1], engines=timed.OURS)
    timed.ensure_timed(study, POINTS[:2], engines=timed.OURS)
    assert ran == ["session-0", "session-1"]


def test_a_session_that_does_not_fit_is_split_and_read_as_one(
    study: Study, ran: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(timed, "budget_bytes", lambda: 5)
    monkeypatch.setattr(timed, "resident_bytes", lambda file_bytes: 1)
    records = timed.ensure_timed(study, POINTS[:2], engines=timed.OURS)
    assert "session 1/1: 5 encoders do not fit in memory at once, so they are timed in 2" in capsys.readouterr().err
    assert ran == ["session-0", "session-1"]
    shapes = {(r["session_id"], r["block"]) for r in records if r["engine"] == "tvm-bsr"}
    assert shapes == {("session-0", "4x1"), ("session-1", "32x1")}
    references = [r["session_id"] for r in records if r["engine"] == "torch-eager" and not r["control"]]
    assert references == ["session-0", "session-1"]
    assert timed.ensure_timed(study, POINTS[:2], engines=timed.OURS) == records
    assert len(ran) == 2


def test_reading_sessions_does_not_run_them(study: Study, ran: list[str], tmp_path: Path) -> None:
    with pytest.raises(MissingRecord, match="04_latency"):
        timed.ensure_timed(replace(study, results=Results("reference", tmp_path)), POINTS, engines=STUDY)
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
