"""Tune the tasks of many models together, by MetaSchedule's task scheduler."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codesign import machine
from codesign.compiler.database import best_seconds, mean_seconds, open_database, trials
from codesign.compiler.finalists import look_again, unseen
from codesign.compiler.search import Budgeted, CostModel, FiniteSearch
from codesign.compiler.space import candidates, is_finite, register_rule, space_generator
from codesign.compiler.target import TargetSpec
from codesign.compiler.tasks import Task
from codesign.compiler.trial import CheckedRunner, PooledBuilder
from codesign.compiler.tvm_compat import PyMeasureCallback, derived_object, ms, silenced
from codesign.compiler.workers import Workshop
from codesign.errors import InputError, MissingTask
from codesign.progress import Count, track

#: Candidates built, then run, at a time. Small, so that the task scheduler decides often.
_BATCH = 32


@dataclass
class TuningReport:
    """What a tuning run did.

    ``curve`` holds [elapsed_s, trials, weighted latency in ns] once every task has a time; ``measured`` the seconds of
    each trial of a task, by its digest and in order, None where it failed.
    """

    tasks: int
    trials: int = 0
    failed_trials: int = 0
    seconds: float = 0.0
    curve: list[list[float]] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    measured: dict[str, list[float | None]] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """Fields of a `tuning` record."""
        return {name: getattr(self, name) for name in ("tasks", "trials", "failed_trials", "seconds", "curve")}


@dataclass(frozen=True, eq=False)
class _Plan:
    """A task with its tuning context, and how many trials it still gets."""

    task: Task
    context: ms.TuneContext
    trials: int


def _plan(task: Task, opened: ms.Database, spec: TargetSpec, trials_per_task: int, seed: int) -> _Plan:
    """Choose the search: point by point in a finite space that fits the budget, or one of ours; else by evolution."""
    ours = task.by_families

    def context(strategy: Any) -> ms.TuneContext:
        return ms.TuneContext(
            mod=task.module,
            target=spec.target,
            task_name=task.name,
            rand_state=seed + 1,
            space_generator=space_generator(ours),
            search_strategy=strategy,
            num_threads=spec.threads,
        ).clone()

    first = context("evolutionary")
    spaces = first.generate_design_space()
    size = len(candidates(first, spaces, spec)) if is_finite(spaces) else None
    enumerable = size is not None and (ours or size <= trials_per_task)
    budget = trials_per_task if size is None else min(size, trials_per_task)
    left = max(0, budget - len(trials(opened, task.module)))
    return _Plan(task, context(FiniteSearch(spec, left, seed) if enumerable else Budgeted(left)), left)


def tune(
    tasks: Sequence[Task],
    *,
    database: Path,
    spec: TargetSpec,
    trials_per_task: int,
    second_look: bool = True,
) -> TuningReport:
    """Tune until every task has ``trials_per_task`` trials, or its whole space is measured; compare the best again.

    Trials go one by one into ``database``; a run that was interrupted continues where it stopped: recorded trials are
    subtracted and the cost model is fitted to them first.

    Parameters
    ----------
    tasks
        From `codesign.compiler.extract_tasks`.
    database
        Directory, one per target and thread count; made if missing.
    spec
        The target, which is this machine.
    trials_per_task
        At least 1.
    second_look
        Whether the best trials of each task are timed again, in turns (`codesign.compiler.finalists`); without that the
        fastest trial is chosen, however lucky.

    Raises
    ------
    InputError
        If ``trials_per_task`` is not positive, or the database is for another target.
    MissingTask
        If every trial of a task failed: it says which, and why. The other trials are kept.
    """
    if trials_per_task < 1:
        raise InputError("trials_per_task", trials_per_task, "at least 1", 1)
    logging.getLogger("tvm.s_tir.meta_schedule").setLevel(logging.ERROR)  # which logs every trial
    register_rule(spec)
    opened = open_database(database, spec, create=True)
    plans = [_plan(task, opened, spec, trials_per_task, seed) for seed, task in enumerate(tasks)]
    plans = [plan for plan in plans if plan.trials]
    report = TuningReport(len(tasks))
    if not plans and not (second_look and unseen(opened, tasks, [])):
        return report
    model = CostModel(spec)
    with machine.exclusive("tuning"), Workshop(spec) as shop:
        for plan in plans:  # what an earlier run measured
            if records := trials(opened, plan.task.module):
                results = [ms.runner.RunnerResult([float(s) for s in record.run_secs], None) for record in records]
                model.update(plan.context, [record.as_measure_candidate() for record in records], results)
        watch = _Watch(report, tasks, plans, opened, model)
        if plans:
            from IPython.utils.capture import capture_output  # which the workers need not import

            # in a notebook, TVM displays a table of all tasks after every batch
            with silenced(), capture_output(stderr=False):
                ms.tune.tune_tasks(
                    tasks=[plan.context for plan in plans],
                    task_weights=[float(plan.task.weight) for plan in plans],
                    work_dir=shop.folder,
                    max_trials_global=watch.planned,
                    max_trials_per_task=max(plan.trials for plan in plans),
                    num_trials_per_iter=_BATCH,
                    builder=PooledBuilder(shop),
                    runner=CheckedRunner(shop, watch.ran),
                    database=opened,
                    cost_model=model,
                    measure_callbacks=[ms.measure_callback.AddToDatabase(), watch],
                    task_scheduler=ms.task_scheduler.GradientBased(seed=0),
                )
        again = unseen(opened, tasks, [plan.task.digest for plan in plans]) if second_look else []
        for task in track(again, "second look at"):
            look_again(task, opened, shop)
    report.seconds = time.monotonic() - watch.start
    if lost := [task.name for task in tasks if watch.best[task.digest] is None]:
        raise MissingTask(f"no trial of {', '.join(lost)} passed; {'; '.join(report.failures)}")
    return report


@derived_object
class _Watch(PyMeasureCallback):
    """Counts trials, keeps the curve, says how far it is, and trains the cost model."""

    def __init__(
        self, report: TuningReport, tasks: Sequence[Task], plans: Sequence[_Plan], opened: ms.Database, model: Any
    ) -> None:
        super().__init__()
        self.report, self.plans, self.model = report, plans, model
        self.planned, self.count, self.start = sum(plan.trials for plan in plans), 0, time.monotonic()
        self.say = Count("trial")
        self.weights = {task.digest: task.weight for task in tasks}
        self.best = {task.digest: best_seconds(trials(opened, task.module)) for task in tasks}

    def apply(
        self, task_scheduler: Any, task_id: int, measure_candidates: Any, builder_results: Any, runner_results: Any
    ) -> None:
        task = self.plans[task_id].task
        measured = self.report.measured.setdefault(task.digest, [])
        for built, ran in zip(builder_results, runner_results, strict=True):
            self.report.trials += 1
            reason = built.error_msg or (ran.error_msg if ran is not None else "not run")
            if reason:
                self.report.failed_trials += 1
                self.report.failures[f"{task.name}: {reason}"] += 1
            measured.append(None if reason else mean_seconds(ran.run_secs))
        known = [seconds for seconds in (self.best[task.digest], *measured) if seconds is not None]
        self.best[task.digest] = min(known, default=None)
        self.model.update(task_scheduler.tasks_[task_id].ctx, measure_candidates, runner_results)
        elapsed = time.monotonic() - self.start
        if all(best is not None for best in self.best.values()):
            latency = sum(self.weights[digest] * best for digest, best in self.best.items() if best is not None)
            self.report.curve.append([round(elapsed, 3), self.report.trials, latency * 1e9])

    def ran(self) -> None:
        """Count a candidate that was run: a batch of results arrives only when all of its tasks have had their turn."""
        self.count += 1
        self.say(self.count, self.planned)
