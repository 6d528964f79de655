"""How good the tuner's search is, and what TVM's own rules make of the same sparsity.

For each size of a model's pruned linears: every point of our design space measured, the yardstick; one real search by
the task scheduler; and one by TVM's stock rules on the row-balanced form of the same layer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from codesign import compiler
from codesign.blocks import BlockShape
from codesign.compiler import TargetSpec, target_spec
from codesign.compiler.bench import MeasuredPoint, measure_space
from codesign.compiler.operators import Linear, RowBalanced
from codesign.compiler.tasks import best_decisions, task_of
from codesign.encoder import load_encoder, prunable_linears
from codesign.progress import track
from codesign.prune.allocation import kept_blocks
from codesign.records import Record
from codesign.study.chain import Study
from codesign.study.points import Point
from codesign.study.tuning import tune

#: How a record's trials were chosen: all points, the yardstick; and two searches. Committed records have replays, too.
STRATEGIES = ("exhaustive", "scheduler", "stock rules")


def ensure_searched(study: Study, point: Point, *, trials: int, passes: int, stock: int) -> list[Record]:
    """Measure and search the space of every linear of a point that was not done yet; return the `search` records.

    Parameters
    ----------
    point
        A pruned point: its block, its sparsity and its load make the kernels; weights do not matter.
    trials
        Of a search.
    passes
        Times that each point of a space is timed.
    stock
        Trials of TVM's stock rules.

    Raises
    ------
    InputError
        If the block does not divide a linear: TVM's rules need static loops without edges.
    MissingRecord
        Reading committed results, if there is none.
    """
    run = _Search(study, point, {"trials": trials, "passes": passes, "stock_trials": stock})
    if study.local and not run.found(STRATEGIES[-1]):
        run.measure(pairs(point, run.spec))
    if not run.found(STRATEGIES[-1]):
        study.newest("search", point.fields() | {"settings": run.settings})
    return [record for strategy in STRATEGIES for record in run.found(strategy)]


@dataclass(frozen=True)
class _Search:
    """What is left to do of one study."""

    study: Study
    point: Point
    settings: dict[str, Any]

    @property
    def spec(self) -> TargetSpec:
        return target_spec(self.point.threads)

    def measure(self, layers: Sequence[tuple[Linear, RowBalanced]]) -> None:
        """Do what no record says was done; the stock rules come last, and all of them together."""
        todo = [linear for linear, _ in layers if not self.found("exhaustive", linear)]
        for linear in track(todo, "measuring every point of"):
            self._append([_yardstick(linear, measure_space(linear, self.spec, self.settings["passes"]))])
        spaces = {
            linear: [_point(each) for each in self.found("exhaustive", linear)[-1]["points"]] for linear, _ in layers
        }
        if not self.found("scheduler"):
            self._append(scheduled(spaces, self.spec, self.settings["trials"]))
        self._append(by_stock_rules([balanced for _, balanced in layers], self.spec, self.settings["stock_trials"]))

    def found(self, strategy: str, linear: Linear | None = None) -> list[Record]:
        """Records with these settings, of one layer or the newest of each; records of before had more settings."""
        which = {"strategy": strategy} | ({"n": linear.outputs, "k": linear.inputs} if linear else {})
        records = self.study.found("search", self.point.fields() | which)
        same = [record for record in records if self.settings.items() <= record["settings"].items()]
        return list({(record["n"], record["k"]): record for record in same}.values())

    def _append(self, rows: Iterable[dict[str, Any]]) -> None:
        for row in list(rows):  # all are computed before one is written
            fields = self.point.fields() | {"settings": self.settings, "target": self.spec.key}
            self.study.append("search", fields, row)


def pairs(point: Point, spec: TargetSpec) -> list[tuple[Linear, RowBalanced]]:
    """Return each distinct linear of a pruned model, as our families and as TVM's rules compute it.

    Both keep equally many blocks in every block-row, so that they do the same arithmetic.
    """
    shape = point.shape or BlockShape(1, 1)
    linears = prunable_linears(load_encoder(point.model, seed=point.seed), point.scope).values()
    tokens = point.batch * -(-point.seq // spec.lanes) * spec.lanes
    found = []
    for outputs, inputs in dict.fromkeys((linear.out_features, linear.in_features) for linear in linears):
        sizes = outputs, inputs, tokens, shape.rows, shape.cols
        balanced = RowBalanced(*sizes, kept_blocks(inputs // shape.cols, point.sparsity))
        nnz = balanced.per_row * balanced.block_rows
        found.append((Linear(*sizes, nnz, spec.threads, "bias"), balanced))
    return found


def _about(operator: Linear | RowBalanced, strategy: str, seconds: Sequence[float], **more: Any) -> dict[str, Any]:
    """Fields of a record: ``best_ns`` is the best time so far after each trial."""
    sizes = {"m": operator.tokens, "n": operator.outputs, "k": operator.inputs, "flop": operator.flops}
    best = [time * 1e9 for time in accumulate(seconds, min)]
    common = {"strategy": strategy, "search_seed": 0, "space": None, "rank": None, "failed": 0, "best_ns": best}
    return {**sizes, **common, **more}


def _yardstick(linear: Linear, points: Sequence[MeasuredPoint]) -> dict[str, Any]:
    about = [{"family": p.family, "decisions": p.decisions, "ns": [time * 1e9 for time in p.seconds]} for p in points]
    return _about(linear, "exhaustive", [p.median for p in points], space=len(points), rank=1, points=about)


def _point(fields: dict[str, Any]) -> MeasuredPoint:
    return MeasuredPoint(fields["family"], fields["decisions"], tuple(ns * 1e-9 for ns in fields["ns"]))


def scheduled(spaces: dict[Linear, list[MeasuredPoint]], spec: TargetSpec, trials: int) -> Iterator[dict[str, Any]]:
    """Tune all tasks together from nothing, as for an encoder; the rank is that of the decisions in the table."""
    tasks = {linear: task_of(linear) for linear in spaces}
    with tempfile.TemporaryDirectory(prefix="codesign-search-") as scratch:
        folder = Path(scratch) / spec.key
        report = tune(list(tasks.values()), folder, spec, trials, second_look=False)
        opened = compiler.open_database(folder, spec)
        for linear, task in tasks.items():
            points = spaces[linear]
            chosen = best_decisions(opened, task)
            (pick,) = [point.median for point in points if {"family": point.family, **point.decisions} == chosen]
            rank = 1 + sum(point.median < pick for point in points)
            seconds, failed = _trials(report.measured[task.digest])
            yield _about(linear, "scheduler", seconds, failed=failed, space=len(points), rank=rank)


def by_stock_rules(balanced: Sequence[RowBalanced], spec: TargetSpec, trials: int) -> Iterator[dict[str, Any]]:
    """Tune row-balanced layers by TVM's own design space and evolutionary search."""
    for operator in track(balanced, "stock rules for"):
        task = task_of(operator)
        with tempfile.TemporaryDirectory(prefix="codesign-search-") as scratch:
            report = tune([task], Path(scratch) / spec.key, spec, trials, second_look=False)
        seconds, failed = _trials(report.measured[task.digest])
        yield _about(operator, "stock rules", seconds, failed=failed)


def _trials(measured: Sequence[float | None]) -> tuple[list[float], int]:
    """Seconds of the trials that worked, in order, and the number of those that did not."""
    seconds = [time for time in measured if time is not None]
    return seconds, len(measured) - len(seconds)
