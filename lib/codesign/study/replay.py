"""Searches replayed on a space that was measured whole: what they have found after each trial.

A replay draws the same batches as `codesign.compiler.search.FiniteSearch`, and looks its trials up in the table. So
many seeds cost nothing, and all of them see the same times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from codesign.compiler.cost_model import DecisionModel
from codesign.compiler.schedules.features import Features
from codesign.compiler.search import choose


@dataclass(frozen=True, eq=False)
class Table:
    """A measured space: the features and the seconds of every point, the default first."""

    name: str
    features: Sequence[Features]
    seconds: Sequence[float]

    def rank(self, seconds: float) -> int:
        """Place of a time in the space, 1 for the fastest."""
        return 1 + sum(other < seconds for other in self.seconds)


def random_search(table: Table, trials: int, seed: int) -> list[int]:
    """Return the points that a random search measures, in order; it too begins with the default."""
    rest = np.random.default_rng(seed).permutation(np.arange(1, len(table.seconds)))
    return [0, *map(int, rest)][:trials]


def guided_search(table: Table, trials: int, seed: int, others: Iterable[Table] = ()) -> list[int]:
    """Return the points that a search with the cost model measures, in order.

    Parameters
    ----------
    table
        The space.
    trials
        Points to measure at most.
    seed
        Of all that is left to chance.
    others
        Tasks that the model has learnt before.
    """
    model, rng = DecisionModel(), np.random.default_rng(seed)
    for other in others:
        model.learn(other.name, other.features, other.seconds)
    left, measured = list(range(len(table.seconds))), list[int]()
    while left and len(measured) < trials:
        batch = choose(len(left), len(measured), _scores(model, table, left), rng)[: trials - len(measured)]
        points = [left[index] for index in batch]
        model.learn(table.name, [table.features[at] for at in points], [table.seconds[at] for at in points])
        measured += points
        left = [at for at in left if at not in points]
    return measured


def _scores(model: DecisionModel, table: Table, left: Sequence[int]) -> Callable[[], np.ndarray]:
    return lambda: model.score([table.features[at] for at in left])


def best_so_far(seconds: Iterable[float]) -> list[float]:
    """Return the best time after each trial."""
    return list(accumulate(seconds, min))
