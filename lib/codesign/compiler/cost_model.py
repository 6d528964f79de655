"""Which candidate to measure next: TVM's cost model for TVM's tasks, and one that sees decisions for ours.

Features of both kinds go to gradient-boosted trees. TVM's `XGBModel` wants one matrix of loop features a candidate;
our points are one row of named numbers, told by their family, so the trees are trained on them directly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from codesign.compiler.database import mean_seconds
from codesign.compiler.operators import Operator, family_operator_of
from codesign.compiler.schedules.base import Features
from codesign.compiler.space import picked
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import derived_object, ms

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

    def load(self, path: str) -> None:
        self.stock.load(path)

    def save(self, path: str) -> None:
        self.stock.save(path)

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
