"""How a design space is searched: a finite one point by point, as the cost model ranks them; others by evolution."""

from __future__ import annotations

from collections.abc import Callable
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
    tvm,
)

#: Points in a task's first batch: the default, and what the model makes of other tasks; at random if it knows none.
FIRST = 4
#: Points measured between two questions to the model.
STEP = 4
#: Share of points that are picked at random all the same, lest the model never sees what it thinks little of.
EXPLORE = 0.125


def pick(scores: np.ndarray, count: int, rng: np.random.Generator) -> list[int]:
    """Choose what to measure next: the points with the best scores, now and then another one.

    Parameters
    ----------
    scores
        Of the points that are left, float64 [points]; more is better.
    count
        How many to choose, at most.
    rng
        Decides where to explore, and among equal scores.

    Returns
    -------
    list[int]
        Distinct indices of ``scores``.
    """
    order = list(rng.permutation(len(scores)))
    order.sort(key=lambda index: -scores[index])
    chosen = []
    for _ in range(min(count, len(order))):
        at = int(rng.integers(len(order))) if rng.random() < EXPLORE else 0
        chosen.append(int(order.pop(at)))
    return chosen


def choose(left: int, measured: int, scores: Callable[[], np.ndarray], rng: np.random.Generator) -> list[int]:
    """Choose the next batch of a search: see `FiniteSearch`.

    Parameters
    ----------
    left
        Points that are not measured yet; before the first batch a family's default is the first of them.
    measured
        Points measured before.
    scores
        Asks the cost model about the points that are left.
    rng
        Decides whatever is left to chance.

    Returns
    -------
    list[int]
        Distinct indices of the points that are left.
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

    def pre_tuning(
        self,
        max_trials: int,
        num_trials_per_iter: int,
        design_spaces: Any,
        database: Any = None,
        cost_model: Any = None,
    ) -> None:
        known = _recorded(database, self.context.mod)
        points = candidates(self.context, design_spaces, self.spec)
        arguments = ms.arg_info.ArgInfo.from_entry_func
        self.pending = [
            MeasureCandidate(point, arguments(point.mod, remove_preproc=True))
            for point in points
            if structural_hash(point.mod) not in known
        ]
        self.left, self.measured, self.model = self.budget, len(known), cost_model
        self.rng = np.random.default_rng(self.seed)

    def post_tuning(self) -> None:
        self.pending, self.model = [], None

    def generate_measure_candidates(self) -> list[MeasureCandidate] | None:
        chosen = choose(len(self.pending), self.measured, self._scores, self.rng)[: self.left]
        batch = [self.pending[index] for index in chosen]
        self.pending = [point for index, point in enumerate(self.pending) if index not in chosen]
        self.left -= len(batch)
        self.measured += len(batch)
        return batch or None

    def _scores(self) -> np.ndarray:
        scores: np.ndarray = self.model.predict(self.context, self.pending)
        return scores

    def notify_runner_results(self, measure_candidates: Any, results: Any) -> None:
        pass

    def clone(self) -> Any:
        return FiniteSearch(self.spec, self.budget, self.seed)


def _recorded(database: Any, mod: tvm.IRModule) -> set[int]:
    """Hashes of the programs that a database holds for a task."""
    hashes = set()
    for record in trials(database, mod):
        schedule = Schedule(mod)
        record.trace.apply_to_schedule(schedule, False)
        hashes.add(structural_hash(schedule.mod))
    return hashes


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

    def pre_tuning(
        self,
        max_trials: int,
        num_trials_per_iter: int,
        design_spaces: Any,
        database: Any = None,
        cost_model: Any = None,
    ) -> None:
        self.left = self.budget
        self.inner.pre_tuning(self.budget, num_trials_per_iter, design_spaces, database, cost_model)

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
