"""How a design space is searched: a finite one point by point, as the cost model ranks them; others by evolution."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from codesign.compiler.database import trials
from codesign.compiler.space import candidates
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import (
    MeasureCandidate,
    PySearchStrategy,
    Schedule,
    derived_object,
    ms,
    structural_hash,
)

#: Points in a task's first batch: the default, and what the model makes of other tasks; at random if it knows none.
FIRST = 4
#: Points measured between two questions to the model.
STEP = 4
#: Share of points that are picked at random all the same, lest the model never sees what it thinks little of.
EXPLORE = 0.125


def pick(scores: np.ndarray, count: int, rng: np.random.Generator) -> list[int]:
    """Choose ``count`` indices of ``scores`` at most: the best, now and then another; ``rng`` decides among equals."""
    order = list(rng.permutation(len(scores)))
    order.sort(key=lambda index: -scores[index])
    chosen = []
    for _ in range(min(count, len(order))):
        at = int(rng.integers(len(order))) if rng.random() < EXPLORE else 0
        chosen.append(int(order.pop(at)))
    return chosen


def choose(left: int, measured: int, scores: Callable[[], np.ndarray], rng: np.random.Generator) -> list[int]:
    """Choose the next batch of a search, as indices of the ``left`` points that are not measured yet.

    ``scores`` asks the cost model about them. Before the first batch a family's default is the first of them.
    """
    if not left:
        return []
    if measured:
        return pick(scores(), STEP, rng)
    return [0, *(1 + index for index in pick(scores()[1:], FIRST - 1, rng))]


@derived_object
class FiniteSearch(PySearchStrategy):
    """Measure each point of a finite space once at most, ``budget`` points in all; none that is in the database.

    The default of a family comes first (of several, MetaSchedule says whose), then what the cost model thinks best of
    what is left, which is chance until it has seen some points of this task or of others. With a budget as large as the
    space every point is measured, and the model only decides the order.
    """

    def __init__(self, spec: TargetSpec, budget: int, seed: int) -> None:
        super().__init__()
        self.spec, self.budget, self.seed = spec, budget, seed

    def _initialize_with_tune_context(self, context: Any) -> None:
        self.context = context

    def pre_tuning(self, max_trials: int, batch: int, spaces: Any, database: Any = None, model: Any = None) -> None:
        known = set()
        for record in trials(database, self.context.mod):
            schedule = Schedule(self.context.mod)
            record.trace.apply_to_schedule(schedule, False)
            known.add(structural_hash(schedule.mod))
        points = candidates(self.context, spaces, self.spec)
        arguments = ms.arg_info.ArgInfo.from_entry_func
        self.pending = [
            MeasureCandidate(point, arguments(point.mod, remove_preproc=True))
            for point in points
            if structural_hash(point.mod) not in known
        ]
        self.left, self.measured, self.model = self.budget, len(known), model
        self.rng = np.random.default_rng(self.seed)

    def post_tuning(self) -> None:
        self.pending, self.model = [], None

    def generate_measure_candidates(self) -> list[MeasureCandidate] | None:
        scores = partial(self.model.predict, self.context, self.pending)
        chosen = choose(len(self.pending), self.measured, scores, self.rng)[: self.left]
        batch = [self.pending[index] for index in chosen]
        self.pending = [point for index, point in enumerate(self.pending) if index not in chosen]
        self.left -= len(batch)
        self.measured += len(batch)
        return batch or None

    def notify_runner_results(self, measure_candidates: Any, results: Any) -> None:
        pass

    def clone(self) -> Any:
        return FiniteSearch(self.spec, self.budget, self.seed)


@derived_object
class Budgeted(PySearchStrategy):
    """Another strategy that stops after ``budget`` trials: what is left of a task's trials in a resumed run."""

    def __init__(self, budget: int) -> None:
        super().__init__()
        self.budget = budget
        # TVM's population is 512; a search for a handful of trials needs no such crowd, and it costs ten seconds a task
        population = min(512, 16 * budget)
        self.inner = ms.search_strategy.EvolutionarySearch(
            population_size=population, init_min_unmeasured=min(50, population // 2)
        )

    def _initialize_with_tune_context(self, context: Any) -> None:
        self.inner._initialize_with_tune_context(context)

    def pre_tuning(self, max_trials: int, batch: int, spaces: Any, database: Any = None, model: Any = None) -> None:
        self.left = self.budget
        self.inner.pre_tuning(self.budget, batch, spaces, database, model)

    def post_tuning(self) -> None:
        self.inner.post_tuning()

    def generate_measure_candidates(self) -> Any:
        candidates = self.inner.generate_measure_candidates() if self.left > 0 else None
        if candidates is not None:
            self.left -= len(candidates)
        return candidates

    def notify_runner_results(self, measure_candidates: Any, results: Any) -> None:
        self.inner.notify_runner_results(measure_candidates, results)

    def clone(self) -> Any:
        return Budgeted(self.budget)
