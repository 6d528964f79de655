"""Sweeps: what they consist of, what they leave behind, and that an interrupted one goes on where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codesign.errors import InputError, MissingRecord
from codesign.records import Results
from codesign.study import pruned, sessions, sweeps
from codesign.study.artefacts import artifact
from codesign.study.chain import Study, open_study
from codesign.study.points import Case, Point
from codesign.study.sessions import Session
from codesign.study.sweeps import Sweep, ensure_swept

CENTRE = Point("bert-tiny", 0, "all", "magnitude", "32x1", 0.8, 1, 16, 1)
SWEEP = Sweep(
    CENTRE,
    load_blocks=["4x1", "32x1"],
    blocks=["1x1", "32x1"],
    engines=["tvm-dense", "tvm-bsr"],
    batches=[1, 4],
    seqs=[8],
    sparsities=[0.0, 0.5, 0.8],
    models=["minilm"],
    model_sparsities=[0.5, 0.9],
)


def shapes(cases: Session) -> list[str]:
    return [case.point.block for case in cases if case.engine == "tvm-bsr"]


def test_one_factor_moves_at_a_time_and_the_centre_comes_last() -> None:
    stops = SWEEP.stops()
    assert list(stops) == [
        "batch 4",
        "8 tokens",
        "0% sparse",
        "50% sparse",
        "minilm, 50% sparse",
        "minilm, 90% sparse",
        "the centre",
    ]
    assert [shapes(cases) for cases in stops.values()] == [
        *[["4x1", "32x1"]] * 2,
        ["32x1"],  # stored whole, whatever the shape
        *[["1x1", "32x1"]] * 3,
        ["4x1", "32x1", "1x1"],
    ]
    for cases in stops.values():
        dense = [case for case in cases if case.engine != "tvm-bsr"]
        assert [case.engine for case in dense] == ["torch-eager", "openvino", "tvm-dense"]
        assert {case.point for case in dense} <= {case.point for case in cases if case.engine == "tvm-bsr"}


def test_without_factors_there_is_nothing_to_do() -> None:
    nothing = Sweep(CENTRE, ["32x1"], ["32x1"], ["tvm-bsr"])
    assert nothing.stops() == {}
    assert len(replace(nothing, models=["minilm"], model_sparsities=[0.5]).stops()) == 1


def test_an_engine_that_would_take_all_night_is_refused() -> None:
    with pytest.raises(InputError, match="none so slow as tvm-stock-default"):
        replace(SWEEP, engines=["tvm-stock-default", "tvm-bsr"])


def test_sparse_engines_of_others_run_the_shapes_of_the_loads() -> None:
    stops = replace(SWEEP, engines=["tvm-bsr", "deepsparse"]).stops()
    assert {c.point.block for cases in stops.values() for c in cases if c.engine == "deepsparse"} == {"4x1", "32x1"}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    return open_study("local", "quick")


PATTERN = {"allocation": "uniform", "element_sparsity": 0.8, "block_sparsity": 0.8, "retained_l2": 0.6, "matrices": []}
LATENCY: dict[str, Any] = {
    **{"samples_ns": [1], "rounds": [1], "warmup_ns": [], "solo_ns": [1], "max_abs_err": 0.0, "settings": {}},
    **{"block_sparsity": 0.8, "element_sparsity": 0.8, "status": "ok", "reason": None, "control": None},
    **{"flagged": False, "flag_reason": None},
}
TASK: dict[str, Any] = {
    **{"target": "cpu", "task": "t", "digest": "d", "family_kind": "bsr", "weight": 1, "best_ns": 1, "trials": 4},
    "tasks": 1,
    **dict.fromkeys(("m", "n", "k", "nnz_blocks", "decisions")),
}


@pytest.fixture
def work(study: Study, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done, in order; every step writes its records and empty files."""
    done: list[str] = []

    def prune(study: Study, point: Point) -> None:
        where = pruned.files(study, point)
        where.checkpoint.mkdir(parents=True, exist_ok=True)
        where.expected.parent.mkdir(parents=True, exist_ok=True)
        where.inputs.touch()
        where.expected.touch()
        if not study.found("pattern", point.fields()):
            study.append("pattern", PATTERN, point.fields())

    def tune(study: Study, cases: Sequence[Case], trials: int, *, lower: Any) -> None:
        done.append(f"tune {len(cases)}")
        for case in cases:
            lower(study, case)
            study.append("task", TASK, case.fields())

    def build(study: Study, cases: Sequence[Case]) -> None:
        for case in cases:
            assert pruned.files(study, case.point).complete
            artifact(study, case).mkdir(parents=True, exist_ok=True)

    def run(study: Study, cases: Sequence[Case]) -> None:
        assert all(artifact(study, case).exists() for case in cases if case.compiled)
        name = f"{cases[0].point.model} {cases[0].point.load_key()} {cases[0].point.sparsity}"
        done.append(name)
        for case in cases:
            study.append("latency", LATENCY, case.fields(), {"session_id": f"session {len(done)}"})

    monkeypatch.setattr(pruned, "_prune", prune)
    monkeypatch.setattr(sweeps, "ensure_tuned", tune)
    monkeypatch.setattr(sweeps, "lower", lambda study, case: None)
    monkeypatch.setattr(sweeps, "ensure_built", build)
    monkeypatch.setattr(sessions, "time_together", run)
    return done


def test_every_load_is_tuned_once_and_every_session_timed_once(
    study: Study, work: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    first = ensure_swept(study, SWEEP, 4)
    assert capsys.readouterr().err.startswith("7 sessions of 35 encoders\n")
    assert [step for step in work if step.startswith("tune")] == ["tune 3", "tune 3", "tune 15"]
    assert len(work) == 3 + len(SWEEP.stops())
    assert ensure_swept(study, SWEEP, 4) == first
    assert len(work) == 3 + len(SWEEP.stops())
    assert len(first) == sum(map(len, SWEEP.stops().values()))


def test_an_interrupted_sweep_loses_and_repeats_nothing(
    study: Study, work: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted while each of its sessions runs, one after the other, it does the same as in one go."""
    run, total = sessions.time_together, len(SWEEP.stops())

    def interrupt(study: Study, cases: Sequence[Case]) -> None:
        if fresh:
            raise KeyboardInterrupt
        fresh.append(cases)
        run(study, cases)

    monkeypatch.setattr(sessions, "time_together", interrupt)
    for _ in range(total - 1):
        fresh: list[Sequence[Case]] = []
        with pytest.raises(KeyboardInterrupt):
            ensure_swept(study, SWEEP, 4)
    fresh = []
    ensure_swept(study, SWEEP, 4)
    timed = [step for step in work if not step.startswith("tune")]
    assert len(timed) == len(set(timed)) == total
    assert [step for step in work if step.startswith("tune")] == ["tune 3", "tune 3", "tune 15"]


def test_files_of_finished_sessions_are_deleted_but_those_of_the_centre(study: Study, work: list[str]) -> None:
    ensure_swept(study, SWEEP, 4)
    centre = SWEEP.stops()["the centre"]
    kept = {case.point.weights_key() for case in centre}
    assert {path.name for path in (study.build / "models").iterdir()} == kept
    kept = {case.key() for case in centre if case.compiled}
    assert {path.name for path in (study.build / "artifacts").iterdir()} == kept


def test_reading_does_no_work(study: Study, work: list[str], tmp_path: Path) -> None:
    with pytest.raises(MissingRecord, match="latency"):
        ensure_swept(replace(study, results=Results("xeon", tmp_path)), SWEEP, 4)
    assert not work


def test_more_threads_than_cores_are_refused_first(study: Study, work: list[str]) -> None:
    with pytest.raises(InputError, match="threads=200"):
        ensure_swept(study, replace(SWEEP, batches=[2], thread_counts=[200]), 4)
    assert not work
