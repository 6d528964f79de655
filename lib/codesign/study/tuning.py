"""Step 3: the tasks of all cases tuned together, into one database for this target."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from codesign import compiler
from codesign.compiler import Lowered, TargetSpec, target_spec
from codesign.compiler.workers import Workshop
from codesign.folders import appearing
from codesign.progress import say, track
from codesign.records import Record
from codesign.study import places
from codesign.study.chain import Study
from codesign.study.lowered import is_tuned, lower, write_tasks
from codesign.study.points import Case

#: Of the records of runs that went on from what their database had, and of those that had nothing.
CONTINUED, FROM_NOTHING = {"from_nothing": False}, {"from_nothing": True}


def database(study: Study, spec: TargetSpec) -> Path:
    """Folder of the tuning database of one target."""
    return study.results.tuning(spec.key)


def committed_database(study: Study, spec: TargetSpec) -> Path | None:
    """Folder of the committed tuning database of this very machine and a target, None where there is none.

    Machines with the same instructions run the same code, but no schedule is the best on all of them.
    """
    for results in map(places.results, places.machines()):
        if results.tuning(spec.key).exists() and results.read("machine", machine_id=study.machine_id):
            return results.tuning(spec.key)
    return None


def ensure_tuned(
    study: Study, cases: Sequence[Case], trials_per_task: int, *, lower: Callable[[Study, Case], Lowered] = lower
) -> list[Record]:
    """Tune the tasks of all cases, each once however many models use it; return the `tuning` records.

    The cases of one pipeline are tuned in one run, so that the scheduler weighs dense and sparse tasks against each
    other; the record carries the run's first case. Trials that the database has already are not repeated.

    Parameters
    ----------
    cases
        Tuned cases that share a target.
    trials_per_task
        Most trials of a task, recorded ones included.
    lower
        Lowers one case; in a sweep it also makes the checkpoint that it needs.

    Raises
    ------
    MissingRecord
        If a checkpoint or, reading committed results, a record is missing.
    """
    runs: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        runs.setdefault((case.pipeline, case.isa), []).append(case)
    if study.local and (todo := [run for run in runs.values() if not _finished(study, run)]):
        with Workshop(target_spec(cases[0].point.threads)):
            for run in todo:
                _tune(study, run, trials_per_task, lower)
    return [study.newest("tuning", run[0].fields() | CONTINUED) for run in runs.values()]


def ensure_tuned_from_nothing(study: Study, case: Case, trials_per_task: int, repeats: int) -> list[Record]:
    """Tune all tasks of one encoder into an empty database, which is thrown away; return the `tuning` records.

    What tuning costs somebody who has no records yet. It is done ``repeats`` times, as a search is never the same.

    Raises
    ------
    MissingRecord
        If the checkpoint or, reading committed results, the record is missing.
    """
    fields = case.fields() | FROM_NOTHING
    while study.local and (done := len(study.found("tuning", fields))) < repeats:
        spec = target_spec(case.point.threads, case.isa)
        tasks = compiler.extract_tasks([lower(study, case)])
        say(f"tuning {len(tasks)} tasks from nothing, {done + 1}/{repeats}, up to {trials_per_task} trials each")
        with tempfile.TemporaryDirectory(prefix="codesign-nothing-") as scratch:
            folder = Path(scratch) / spec.key
            report = compiler.tune(tasks, database=folder, spec=spec, trials_per_task=trials_per_task)
        study.append("tuning", fields, {"target": spec.key}, report.fields())
    return study.found("tuning", fields)[-repeats:] or [study.newest("tuning", fields)]


def _finished(study: Study, run: Sequence[Case]) -> bool:
    """Whether the run was finished with all of these cases: a new shape beside known ones has tasks of its own."""
    return bool(study.found("tuning", run[0].fields() | CONTINUED)) and all(is_tuned(study, case) for case in run)


def _tune(study: Study, run: Sequence[Case], trials_per_task: int, lower: Callable[[Study, Case], Lowered]) -> None:
    spec = target_spec(run[0].point.threads, run[0].isa)
    folder = database(study, spec)
    if study.profile in places.ASIDE and not folder.exists() and (known := committed_database(study, spec)):
        with appearing(folder) as work:  # a copy that was interrupted would pass for a database that has everything
            shutil.copytree(known, work, dirs_exist_ok=True)
    # Without their weights, which tuning does not look at, all encoders fit in memory.
    lowered = [replace(lower(study, case), params={}) for case in track(run, "lowering")]
    tasks = compiler.extract_tasks(lowered)
    say(f"tuning {len(tasks)} tasks of {len(run)} encoders, up to {trials_per_task} trials each")
    report = compiler.tune(tasks, database=folder, spec=spec, trials_per_task=trials_per_task)
    for failure, count in report.failures.items():
        say(f"{count} trials failed, {failure}")
    for case, model in zip(run, lowered, strict=True):
        write_tasks(study, case, model, folder)
    # Last: this record says that the run is finished.
    study.append("tuning", run[0].fields() | CONTINUED, {"target": spec.key}, report.fields())
