"""TVM's gradient task scheduler replayed on measured spaces: which task gets each trial, and what that is worth.

The rule is that of ``meta_schedule.task_scheduler.GradientBased`` with its defaults: every task gets a batch in turn;
then each batch goes to the task that promises most, by its weight, what its last batches gained and how slow it is.
Within a task, batches are those of `codesign.compiler.search.FiniteSearch`, with one cost model for all tasks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from codesign.compiler.cost_model import DecisionModel
from codesign.compiler.search import choose
from codesign.study.replay import Table

#: Of TVM's rule: the share of what was gained lately, and over how many batches.
ALPHA, WINDOW = 0.2, 3

#: For each trial in order: the task, and the weighted seconds once every task has a time.
Trace = list[tuple[int, float | None]]


@dataclass
class _State:
    """A task while it is searched: points that are left, those measured, and the best time after each batch."""

    left: list[int]
    rng: np.random.Generator
    measured: list[int] = field(default_factory=list)
    history: list[float] = field(default_factory=list)


def gradient(history: Sequence[float], weight: float) -> float:
    """Return what TVM's rule expects of another batch: ``history`` is the best time after each batch so far."""
    count, best = len(history), history[-1]
    gained = (history[count - 1 - WINDOW] - best) / WINDOW if count > WINDOW else best
    return weight * (ALPHA * gained + (1 - ALPHA) * best / count)


def replay(tables: Sequence[Table], weights: Sequence[int], cap: int, seed: int) -> Trace:
    """Search all tasks until each has ``cap`` trials or its whole space.

    Parameters
    ----------
    tables, weights
        The space of each task, and its uses.
    cap
        Most trials of a task, at least 1.
    seed
        Of all that is left to chance.
    """
    model, chance = DecisionModel(), np.random.default_rng(seed)
    states = [
        _State(list(range(len(table.seconds))), np.random.default_rng([seed, at])) for at, table in enumerate(tables)
    ]
    trace: Trace = []

    def batch(at: int) -> None:
        table, state = tables[at], states[at]
        room = cap - len(state.measured)
        picked = choose(
            len(state.left),
            len(state.measured),
            lambda: model.score([table.features[point] for point in state.left]),
            state.rng,
        )[:room]
        points = [state.left[index] for index in picked]
        model.learn(table.name, [table.features[p] for p in points], [table.seconds[p] for p in points])
        state.left = [point for point in state.left if point not in points]
        for point in points:
            state.measured.append(point)
            trace.append((at, _weighted(tables, weights, states)))
        state.history.append(_best(table, state))

    for at in range(len(tables)):
        batch(at)
    while alive := [at for at, state in enumerate(states) if state.left and len(state.measured) < cap]:
        hopes = [gradient(states[at].history, weights[at]) for at in alive]
        same = max(hopes) == min(hopes)
        batch(alive[int(chance.integers(len(alive)))] if same else alive[int(np.argmax(hopes))])
    return trace


def _best(table: Table, state: _State) -> float:
    return min((table.seconds[point] for point in state.measured), default=math.inf)


def _weighted(tables: Sequence[Table], weights: Sequence[int], states: Sequence[_State]) -> float | None:
    total = sum(w * _best(t, s) for t, w, s in zip(tables, weights, states, strict=True))
    return total if math.isfinite(total) else None
