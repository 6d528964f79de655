"""How good the tuner's search is, and what TVM's own rules make of the same sparsity.

For each size of a model's pruned linears: every point of our design space measured, the yardstick; one real search by
the task scheduler; and one by TVM's stock rules on the row-balanced form of the same layer.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from codesign import compiler
from codesign.blocks import BlockShape
from codesign.compiler import TargetSpec, target_spec
from codesign.compiler.bench import MeasuredPoint, measure_space
from codesign.compiler.operators import Linear, RowBalanced
from codesign.compiler.tasks import best_decisions, task_of
from codesign.compiler.workers import Workshop
from codesign.encoder import load_encoder, prunable_linears
from codesign.progress import track
from codesign.prune.allocation import kept_blocks
from codesign.records import Record
from codesign.study.chain import Study
from codesign.study.points import Point

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
    settings = {"trials": trials, "passes": passes, "stock_trials": stock}

    def found(strategy: str) -> dict[tuple[int, int], Record]:
        """Newest record of each layer, by its size; records of before had more settings."""
        records = study.found("search", point.fields() | {"strategy": strategy})
        return {(r["n"], r["k"]): r for r in records if settings.items() <= r["settings"].items()}

    def append(rows: Iterable[dict[str, Any]]) -> None:
        for row in list(rows):  # all are computed before one is written
            study.append("search", point.fields(), {"settings": settings, "target": spec.key}, row)

    if study.local and not found("stock rules"):
        spec = target_spec(point.threads)
        linears, balanced = zip(*pairs(point, spec), strict=True)
        known = found("exhaustive")
        todo = [linear for linear in linears if (linear.outputs, linear.inputs) not in known]
        with Workshop(spec):
            for linear in track(todo, "measuring every point of"):
                append([_yardstick(linear, measure_space(linear, spec, passes))])
            if not found("scheduler"):
                append(scheduled(linears, found("exhaustive"), spec, trials))
            append(by_stock_rules(balanced, spec, stock))
    if not found("stock rules"):
        study.newest("search", point.fields() | {"settings": settings})
    return [record for strategy in STRATEGIES for record in found(strategy).values()]


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


def scheduled(
    linears: Sequence[Linear], spaces: Mapping[tuple[int, int], Record], spec: TargetSpec, trials: int
) -> Iterator[dict[str, Any]]:
    """Tune all tasks together from nothing, as for an encoder; the rank is that of the decisions in the table."""
    tasks = {linear: task_of(linear) for linear in linears}
    with tempfile.TemporaryDirectory(prefix="codesign-search-") as scratch:
        folder = Path(scratch) / spec.key
        report = compiler.tune(
            list(tasks.values()), database=folder, spec=spec, trials_per_task=trials, second_look=False
        )
        opened = compiler.open_database(folder, spec)
        for linear, task in tasks.items():
            points = spaces[linear.outputs, linear.inputs]["points"]
            chosen = best_decisions(opened, task)
            (pick,) = [_ns(each) for each in points if {"family": each["family"], **each["decisions"]} == chosen]
            rank = 1 + sum(_ns(each) < pick for each in points)
            yield _searched(linear, "scheduler", report.measured[task.digest], space=len(points), rank=rank)


def _ns(point: Mapping[str, Any]) -> float:
    return statistics.median(point["ns"])


def by_stock_rules(balanced: Sequence[RowBalanced], spec: TargetSpec, trials: int) -> Iterator[dict[str, Any]]:
    """Tune row-balanced layers by TVM's own design space and evolutionary search."""
    for operator in track(balanced, "stock rules for"):
        task = task_of(operator)
        with tempfile.TemporaryDirectory(prefix="codesign-search-") as scratch:
            report = compiler.tune(
                [task], database=Path(scratch) / spec.key, spec=spec, trials_per_task=trials, second_look=False
            )
        yield _searched(operator, "stock rules", report.measured[task.digest])


def _searched(
    operator: Linear | RowBalanced, strategy: str, measured: Sequence[float | None], **more: Any
) -> dict[str, Any]:
    """Fields of a record of a search, from the seconds of its trials in order; None for one that failed."""
    seconds = [time for time in measured if time is not None]
    return _about(operator, strategy, seconds, failed=len(measured) - len(seconds), **more)
