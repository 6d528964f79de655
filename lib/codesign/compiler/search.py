"""Which candidate is measured next: how a design space is searched, and the models that rank its points.

A finite space of ours is searched point by point; others, by evolution. Features of both kinds go to gradient-boosted
trees. TVM's `XGBModel` wants one matrix of loop features a candidate; our points are one row of named numbers, told by
their family, so the trees are trained on them directly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from codesign.compiler.database import mean_seconds, trials
from codesign.compiler.operators import Operator, family_operator_of
from codesign.compiler.schedules.base import Features
from codesign.compiler.space import candidates, picked
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import MeasureCandidate, PySearchStrategy, derived_object, ms, structural_hash

#: Points in a task's first batch: the default, and what the model makes of other tasks; at random if it knows none.
FIRST = 4
#: Points measured between two questions to the model.
STEP = 4
#: Share of points that are picked at random all the same, lest the model never sees what it thinks little of.
EXPLORE = 0.125
#: What a point reads where only others have a feature; no feature is negative.
_ABSENT = -1.0
_ROUNDS = 80
_TREES: dict[str, Any] = {
    "objective": "reg:squarederror",
    "max_depth": 5,
    "eta": 0.15,
    "min_child_weight": 0,
    "lambda": 0.1,
    "nthread": 1,
}


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
        records = trials(database, self.context.mod)
        known = {structural_hash(record.as_measure_candidate().sch.mod) for record in records}
        self.pending = [
            MeasureCandidate(point, ms.arg_info.ArgInfo.from_entry_func(point.mod, remove_preproc=True))
            for point in candidates(self.context, spaces, self.spec)
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
        self.inner.pre_tuning(self.budget, batch, spaces, database, model)

    def post_tuning(self) -> None:
        self.inner.post_tuning()

    def generate_measure_candidates(self) -> Any:
        return self.inner.generate_measure_candidates()

    def notify_runner_results(self, measure_candidates: Any, results: Any) -> None:
        self.inner.notify_runner_results(measure_candidates, results)

    def clone(self) -> Any:
        return Budgeted(self.budget)


class DecisionModel:
    """Learns from measured points of many tasks how good a point is: 1 is the best of its task, 0 a failure.

    Speed relative to the best of the same task is what tasks have in common, so that one learns from another.
    """

    def __init__(self) -> None:
        self._points: dict[str, list[tuple[Features, float]]] = {}
        self._trees: Any = None
        self._names: list[str] = []

    def learn(self, task: str, points: Sequence[Features], seconds: Sequence[float | None]) -> None:
        """Add measured points of a task; None marks one that failed."""
        speeds = [0.0 if time is None else 1.0 / time for time in seconds]
        self._points.setdefault(task, []).extend(zip(points, speeds, strict=True))
        self._trees = None

    def score(self, points: Sequence[Features]) -> np.ndarray:
        """Predict the score of points, float64 [points]; all equal while nothing was learnt."""
        if not self._points or not points:
            return np.zeros(len(points))
        if self._trees is None:
            self._fit()
        return self._trees.inplace_predict(self._matrix(points)).astype(np.float64)

    def _fit(self) -> None:
        import xgboost  # takes half a second, which the tuner's workers need not pay

        features = [found for points in self._points.values() for found, _ in points]
        targets = []
        for points in self._points.values():
            speeds = np.array([speed for _, speed in points])
            targets.append(speeds / (speeds.max() or 1.0))
        self._names = sorted({name for found in features for name in found})
        data = xgboost.DMatrix(self._matrix(features), np.concatenate(targets))
        self._trees = xgboost.train(_TREES, data, _ROUNDS)

    def _matrix(self, points: Sequence[Features]) -> np.ndarray:
        return np.array([[found.get(name, _ABSENT) for name in self._names] for found in points], np.float32)


@derived_object
class CostModel(ms.cost_model.PyCostModel):
    """MetaSchedule's view: tasks of ours go to a `DecisionModel`, all others to TVM's `XGBModel`."""

    def __init__(self, spec: TargetSpec) -> None:
        super().__init__()
        self.spec, self.ours = spec, DecisionModel()
        self.stock = ms.cost_model.XGBModel(num_tuning_cores=spec.threads)
        # It predicts from so many samples on, and trains from the first: for hundreds of rounds, seconds each time. It
        # trains again when there is a fifth more than what it believes to have trained on.
        self.stock.last_train_size = self.stock.num_warmup_samples / 1.2

    def update(self, context: Any, candidates: Any, results: Any) -> None:
        operator = family_operator_of(context.mod["main"])
        if operator is None:
            self.stock.update(context, candidates, results)
            return
        seconds = [mean_seconds(result.run_secs) for result in results]
        self.ours.learn(operator.attributes(), self._features(operator, candidates), seconds)

    def predict(self, context: Any, candidates: Any) -> np.ndarray:
        operator = family_operator_of(context.mod["main"])
        if operator is not None:
            return self.ours.score(self._features(operator, candidates))
        scores: np.ndarray = self.stock.predict(context, candidates)
        return scores

    def _features(self, operator: Operator, candidates: Any) -> list[Features]:
        points = [picked(candidate.sch) for candidate in candidates]
        return [family.features(operator, self.spec, decisions) for family, decisions in points]
