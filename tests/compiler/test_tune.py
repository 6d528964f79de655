"""Tuning: ours and TVM's tasks in one run, resumed, replayed, guarded."""

from __future__ import annotations

import json
import shutil
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from codesign.blocks import BlockShape
from codesign.compiler import (
    Lowered,
    TargetSpec,
    build,
    extract_tasks,
    lower_encoder,
    open_database,
    target_spec,
    task_records,
    tune,
)
from codesign.compiler.artifact import TUNING
from codesign.compiler.database import HEADER, RECORDS, TRIAL_SAMPLES, WORKLOADS, looked_at, seconds_of, trials
from codesign.compiler.finalists import finalists, look_again, unseen
from codesign.compiler.operators import Linear
from codesign.compiler.schedules import families_for
from codesign.compiler.space import annotate, register_rule
from codesign.compiler.tasks import best_decisions, task_of
from codesign.compiler.trial import build_candidate, run_candidate
from codesign.compiler.tvm_compat import PyRunner, RunnerFuture, RunnerResult, Schedule, derived_object, ms, tvm
from codesign.errors import InputError, MissingTask

TRIALS = 2


@pytest.fixture(scope="module")
def spec() -> TargetSpec:
    """One thread: two on cores that other tests use wait for each other, call by call."""
    return target_spec(threads=1)


@pytest.fixture(scope="module")
def lowered(pruned_tiny: Path, spec: TargetSpec) -> Lowered:
    return lower_encoder(pruned_tiny, block=BlockShape(4, 1), batch=1, seq=16, spec=spec)


@pytest.fixture(scope="module")
def tuned(lowered: Lowered, spec: TargetSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    database = tmp_path_factory.mktemp("tuning") / spec.key
    report = tune(extract_tasks([lowered]), database=database, spec=spec, trials_per_task=TRIALS)
    assert report.failed_trials == 0, report.failures
    assert report.trials == sum(map(len, report.measured.values()))
    assert report.curve[-1][2] > 0
    return database


def test_every_task_gets_its_trials_and_a_best_time(tuned: Path, lowered: Lowered) -> None:
    for row in task_records(lowered, tuned):
        assert 1 <= row["trials"] <= TRIALS
        assert row["best_ns"] > 0
        assert (row["decisions"] is None) == (row["family_kind"] == "stock")


def test_a_finished_run_is_not_repeated(tuned: Path, lowered: Lowered, spec: TargetSpec) -> None:
    assert tune(extract_tasks([lowered]), database=tuned, spec=spec, trials_per_task=TRIALS).trials == 0


def test_an_interrupted_run_continues_where_it_stopped(
    tuned: Path, lowered: Lowered, spec: TargetSpec, tmp_path: Path
) -> None:
    """As after a kill: some records are there, the last one torn."""
    database = tmp_path / spec.key
    database.mkdir()
    for file in tuned.iterdir():
        (database / file.name).write_bytes(file.read_bytes())
    lines = (database / RECORDS).read_text().splitlines(keepends=True)
    tried = [line for line in lines if len(json.loads(line)[1][1]) == TRIAL_SAMPLES]
    assert lines[: len(tried)] == tried, "second looks come when all trials are done"
    kept = len(tried) // 2
    (database / RECORDS).write_text("".join(lines[:kept]) + lines[kept][:50])
    tasks = extract_tasks([lowered])
    report = tune(tasks, database=database, spec=spec, trials_per_task=TRIALS, second_look=False)
    assert report.trials == len(tried) - kept
    resumed = (database / RECORDS).read_text().splitlines(keepends=True)
    assert resumed[:kept] == lines[:kept]
    again = [line for line in resumed if len(json.loads(line)[1][1]) == TRIAL_SAMPLES]
    assert len(again) == len(tried)
    # no decision was measured twice
    decisions = [json.dumps([json.loads(line)[0], json.loads(line)[1][0]]) for line in again]
    assert len(set(decisions)) == len(decisions)


def test_the_best_of_a_task_is_one_that_was_looked_at_again(tuned: Path, lowered: Lowered, spec: TargetSpec) -> None:
    opened, tasks = open_database(tuned, spec), extract_tasks([lowered])
    assert unseen(opened, tasks, []) == []
    several = [task for task in tasks if len(trials(opened, task.module)) > 1]
    assert several
    for task in several:
        found = trials(opened, task.module)
        assert len(found) <= TRIALS
        assert looked_at(found[0])
        again = min(len(found), finalists(len(found)))
        assert [looked_at(record) for record in found] == [True] * again + [False] * (len(found) - again)


def test_a_quarter_of_the_trials_is_looked_at_again() -> None:
    assert [finalists(trials) for trials in (2, 8, 12, 16, 256)] == [2, 2, 3, 4, 4]


class _Pool:
    """Builds nothing, and says of the n-th thing built that it takes ``times[n]``, or fails where that is None."""

    def __init__(self, times: list[float | None]) -> None:
        self.times, self.built = times, list[str]()

    def submit(self, function: Any, *arguments: Any) -> Any:
        if function is build_candidate:
            trial = Path(arguments[2]) / str(len(self.built))
            trial.mkdir()
            self.built.append(str(trial / "kernel.so"))
            return SimpleNamespace(result=lambda: str(trial / "kernel.so"))
        return SimpleNamespace(result=lambda: self.run(self.times[self.built.index(arguments[0])]))

    def run(self, seconds: float | None) -> list[float]:
        if seconds is None:
            raise ArithmeticError("wrong result")
        return [seconds] * TRIAL_SAMPLES


def test_a_lucky_trial_loses_its_place_when_it_is_looked_at_again(
    spec: TargetSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(Linear(64, 64, 4 * spec.lanes, 4, 1, 200, spec.threads, "bias"))
    register_rule(spec)
    opened = open_database(tmp_path / spec.key, spec, create=True)
    workload = opened.commit_workload(task.module)
    (family,) = [each for each in families_for(task.operator) if each.points(task.operator, spec)]
    decided = family.points(task.operator, spec)[:5]
    for number, decisions in enumerate(decided):  # each a little slower than the one before
        schedule = Schedule(task.module)
        annotate(schedule, families_for(task.operator).index(family), decisions)
        info = ms.arg_info.ArgInfo.from_entry_func(schedule.mod, remove_preproc=True)
        times = [1.0 + number / 10] * TRIAL_SAMPLES
        opened.commit_tuning_record(ms.database.TuningRecord(schedule.trace, workload, times, spec.target, info))
    assert best_decisions(opened, task) == {"family": family.name, **decided[0]}
    assert unseen(opened, [task], []) == [task]
    pool = _Pool([3.0, 2.0, None, 2.5])
    shop: Any = SimpleNamespace(spec=spec, folder=str(tmp_path), builders=pool, runner=pool)
    monkeypatch.setattr("codesign.compiler.finalists.finalists", lambda trials: 4)
    assert look_again(task, opened, shop) == 4
    assert best_decisions(opened, task) == {"family": family.name, **decided[1]}
    assert [seconds_of(record) for record in trials(opened, task.module)] == [2.0, 2.5, 3.0, 1.2, 1.4]
    assert unseen(opened, [task], []) == []
    assert unseen(opened, [task], [task.digest]) == [task]
    assert not any(Path(library).exists() for library in pool.built)


@derived_object
class _Refusing(PyRunner):
    """Runs nothing."""

    def __init__(self, *_: Any) -> None:
        super().__init__()

    def run(self, runner_inputs: Any) -> list[RunnerFuture]:
        result = RunnerResult(None, "ValueError: no such thing")
        return [RunnerFuture(lambda: True, lambda: result) for _ in runner_inputs]


def test_a_task_whose_trials_all_failed_is_named_and_tried_again(
    lowered: Lowered, spec: TargetSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = next(task for task in extract_tasks([lowered]) if task.name.startswith("linear"))
    database = tmp_path / spec.key
    expected = f"no trial of {task.name} passed; {task.name}: ValueError: no such thing"
    with monkeypatch.context() as patch:
        patch.setattr(import_module("codesign.compiler.tune"), "CheckedRunner", _Refusing)
        with pytest.raises(MissingTask, match=expected):
            tune([task], database=database, spec=spec, trials_per_task=2)
    again = tune([task], database=database, spec=spec, trials_per_task=2)
    assert (again.trials, again.failed_trials) == (2, 0)


def test_a_tuned_build_replays_the_best_decisions_and_carries_them(
    tuned: Path, lowered: Lowered, spec: TargetSpec, tmp_path: Path
) -> None:
    first = build(lowered, tuned, tmp_path / "first")
    best = {row["task"]: row["decisions"] for row in task_records(lowered, tuned) if row["family_kind"] == "bsr"}
    linears = [row for row in first["decisions"].values() if row["operator"]["kind"] == "linear"]
    assert len(linears) == len(best)
    for row in linears:
        assert {name: value for name, value in row.items() if name != "operator"} in list(best.values())
    kept = open_database(tmp_path / "first" / TUNING, spec)
    assert len(kept.get_all_tuning_records()) == len(extract_tasks([lowered])), "the best of each task, no other"
    again = build(lowered, tmp_path / "first" / TUNING, tmp_path / "second")
    assert again["decisions"] == first["decisions"]
    assert again["sha256"][TUNING] == first["sha256"][TUNING]


def test_a_database_of_another_target_is_refused(tuned: Path, spec: TargetSpec, tmp_path: Path) -> None:
    other = target_spec(threads=2)
    with pytest.raises(InputError, match=f"records for {other.key}, not {spec.key}"):
        open_database(tuned, other)
    with pytest.raises(InputError, match="03_tune"):
        open_database(tmp_path / "nowhere", spec)
    header = json.loads((tuned / HEADER).read_text())
    assert header["threads"] == spec.threads


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (HEADER, "", f"a readable {HEADER}"),
        (HEADER, "[]", f"a JSON object in {HEADER}"),
        (HEADER, "{}", "not None-Nonet"),
        (HEADER, None, f"a {HEADER} beside the records"),
        (RECORDS, "{\n", rf"{RECORDS}:1: "),
        (RECORDS, "[" * 10_000 + "\n", rf"{RECORDS}:1: "),
        (RECORDS, "[0, 1]\n", "readable tuning records"),
        (RECORDS, "null\n", "readable tuning records"),
        (RECORDS, "[999, [[[], []], [1.0], null, null]]\n", "readable tuning records"),
        (RECORDS, '[0, [[["Sample"], []], [1.0], null, null]]\n', "readable tuning records"),
        (RECORDS, '[0, [[[["Nothing", [], [], []]], []], [1.0], {"kind": "llvm"}, []]]\n', "readable tuning records"),
        (WORKLOADS, "not json\n", rf"{WORKLOADS}:1: "),
        (WORKLOADS, '["1", "2"]\n', "readable tuning records"),
        (WORKLOADS, "", "readable tuning records"),
    ],
)
def test_a_damaged_database_is_refused_by_file(
    tuned: Path,
    spec: TargetSpec,
    tmp_path: Path,
    name: str,
    content: str | None,
    message: str,
) -> None:
    shutil.copytree(tuned, tmp_path / "damaged")
    path = tmp_path / "damaged" / name
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(InputError, match=message):
        open_database(tmp_path / "damaged", spec, create=True)


def test_a_budget_below_one_is_refused(lowered: Lowered, spec: TargetSpec, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="trials_per_task=0"):
        tune(extract_tasks([lowered]), database=tmp_path, spec=spec, trials_per_task=0)


def test_a_wrong_result_never_gets_a_time(spec: TargetSpec, tmp_path: Path) -> None:
    linear = Linear(32, 32, 32, 4, 1, 100, spec.threads, "bias")
    family = families_for(linear)[0]
    loops = family.generate(linear, spec, family.points(linear, spec)[0])
    good = tmp_path / "good"
    good.mkdir()
    (good / "operator.json").write_text(linear.attributes())
    tvm.compile(tvm.IRModule({"main": loops}), target=spec.target).export_library(str(good / "kernel.so"))
    # in a worker process, as always, because the caller is pinned by nothing here
    assert min(run_candidate(str(good / "kernel.so"))) > 0
    # the same machine code, passed off as a layer with another epilogue
    wrong = Linear(32, 32, 32, 4, 1, 100, spec.threads, "bias_gelu")
    (good / "operator.json").write_text(wrong.attributes())
    with pytest.raises(ArithmeticError, match="wrong result: off by"):
        run_candidate(str(good / "kernel.so"))


def test_a_stock_candidate_gets_valid_indices(spec: TargetSpec, tmp_path: Path, lowered: Lowered) -> None:
    """Random bits as indices, TVM's default, read far outside the table."""
    register_rule(spec)
    gather = next(task for task in extract_tasks([lowered]) if task.name.startswith("take"))
    library = build_candidate(gather.module, spec, str(tmp_path))
    arguments = json.loads((Path(library).parent / "operator.json").read_text())
    assert any(dtype.startswith("int") for dtype, _ in arguments)
    assert np.isfinite(run_candidate(library)).all()


def test_a_stock_candidate_may_lay_its_weights_out_anew(spec: TargetSpec, tmp_path: Path, pruned_tiny: Path) -> None:
    """TVM marks that by blocks in the kernel, which can be taken out once."""
    stock = lower_encoder(pruned_tiny, block=None, batch=1, seq=16, spec=spec, pipeline="stock")
    task = next(task for task in extract_tasks([stock]) if "matmul" in task.name)
    report = tune([task], database=tmp_path / spec.key, spec=spec, trials_per_task=1, second_look=False)
    assert (report.trials, report.failures) == (1, {})
