"""What task reuse is worth to a tuner: the same trials spent on the tasks of two allocations.

The space of every distinct sparse linear of an encoder is measured whole: the table. Searches are replayed on it, many
seeds each, in two arms. In arm ``total`` all tasks together get as many trials as the allocation with the most tasks
needs to give each of them the budget: fewer tasks have more each. In arm ``each`` every task gets the budget, so that
only kernels can make a difference. One run of TVM's task scheduler in each arm is real, and is judged by the table.
"""

from __future__ import annotations

import json
import math
import statistics
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from IPython.utils.capture import capture_output

from codesign import compiler, machine
from codesign.compiler import TargetSpec, Task, target_spec
from codesign.compiler.database import RECORDS, WORKLOADS, mean_seconds
from codesign.compiler.kernel_trial import Bench, candidates
from codesign.compiler.operators import Linear
from codesign.compiler.schedules import find_family
from codesign.compiler.tasks import best_decisions, task_of
from codesign.errors import MissingTask
from codesign.records import Record
from codesign.study.chain import Study, duration, say, track
from codesign.study.identity import ensure_identity
from codesign.study.points import Point
from codesign.study.replay import Table
from codesign.study.search import by_stock_rules, pairs
from codesign.study.spending import Trace, replay

#: The two allocations that are compared, and how trials are shared out.
ALLOCATIONS = ("uniform", "global")
ARMS = ("total", "each")
#: For the estimate that is printed first, on two cores: seconds to build and check a point, to time it once, and for a
#: trial of a real search.
_BUILD_S, _SAMPLE_S, _TRIAL_S = 0.15, 0.02, 0.35
_SAMPLE_LENGTH_S = 2e-3


@dataclass(frozen=True)
class Space:
    """A measured space: an operator, its uses, and the seconds of each point (family, decisions), the default first."""

    linear: Linear
    weight: int
    points: tuple[tuple[str, dict[str, Any], float], ...]

    def table(self, spec: TargetSpec) -> Table:
        """What a replay looks trials up in."""
        features = [find_family(name).features(self.linear, spec, decisions) for name, decisions, _ in self.points]
        return Table(self.linear.attributes(), features, [seconds for *_, seconds in self.points])


def ensure_budgets(
    study: Study, points: Sequence[Point], *, trials: int, seeds: int, passes: int, stock: int
) -> list[Record]:
    """Measure, replay and run what was not done yet; return the `budget` records of every point.

    Parameters
    ----------
    points
        Pruned points; an allocation is no field of theirs.
    trials
        Of a task, in arm ``each``.
    seeds
        Searches replayed in each arm.
    passes
        Times that each point of a space is timed.
    stock
        Trials of TVM's stock rules, for a row-balanced layer of each size.

    Raises
    ------
    MissingRecord
        Reading committed results, if there is none.
    """
    settings = {"trials": trials, "seeds": seeds, "passes": passes, "stock_trials": stock}
    found: list[Record] = []
    for point in points:
        fields = point.fields() | {"settings": settings}
        last = fields | {"arm": "stock"}
        if study.local and not study.found("budget", last):
            _run(study, point, fields)
        run = study.newest("budget", last)["run_id"]
        found += [record for record in study.found("budget", fields) if record["run_id"] == run]
    return found


def _run(study: Study, point: Point, fields: dict[str, Any]) -> None:
    """Do all of one point, and write its records at the end: half of a study cannot be told from a whole one."""
    spec, settings = target_spec(point.threads), fields["settings"]
    identified = {record["allocation"]: record for record in ensure_identity(study, [point], ALLOCATIONS)}
    uses = {name: sparse_uses(record) for name, record in identified.items()}
    distinct = list(dict.fromkeys(linear for each in uses.values() for linear in each))
    _estimate(distinct, uses, spec, settings)
    times = measure(distinct, spec, point.seed, settings["passes"])
    rows: list[tuple[str, dict[str, Any]]] = []
    for name, weights in uses.items():
        spaces = [Space(linear, weight, times[linear]) for linear, weight in weights.items()]
        rows.append((name, _table(spaces)))
        for arm, cap in caps(uses, name, settings["trials"]).items():
            tables = [space.table(spec) for space in spaces]
            for seed in range(settings["seeds"]):
                trace = replay(tables, [space.weight for space in spaces], cap, seed)
                rows.append((name, _search(spaces, arm, "replay", trace, search_seed=seed)))
            rows.append((name, scheduled(spaces, arm, spec, cap)))
    balanced = [operator for _, operator in pairs(point, spec)]
    for operator, row in zip(balanced, by_stock_rules(balanced, spec, settings["stock_trials"]), strict=True):
        reached = [[0, nanoseconds] for nanoseconds in row["best_ns"]]
        task = {"linear": asdict(operator), "weight": 1, "flop": row["flop"], "name": str(row["n"])}
        about = {"arm": "stock", "strategy": "stock rules", "search_seed": 0, "seconds": 0.0, "failed": row["failed"]}
        rows.append(("row-balanced", about | {"tasks": [task], "trace": reached}))
    for allocation, row in rows:
        study.append("budget", fields, {"target": spec.key, "allocation": allocation}, row)


def sparse_uses(record: Record) -> dict[Linear, int]:
    """Return the sparse linears of an `identity` record with their uses."""
    return {Linear(**t["linear"]): t["weight"] for t in record["tasks"] if t["family_kind"] == "bsr"}


def caps(uses: dict[str, dict[Linear, int]], allocation: str, trials: int) -> dict[str, int]:
    """Return the most trials of a task in each arm; a share of the total that is no whole number is rounded down."""
    most = trials * max(map(len, uses.values()))
    return {"total": most // len(uses[allocation]), "each": trials}


def _estimate(
    distinct: Sequence[Linear], uses: dict[str, dict[Linear, int]], spec: TargetSpec, settings: dict[str, Any]
) -> None:
    sizes = {linear: len(candidates(linear, spec)) for linear in distinct}
    table = sum(sizes.values()) * (_BUILD_S + settings["passes"] * _SAMPLE_S)
    real = sum(
        min(cap, sizes[linear])
        for name, weights in uses.items()
        for cap in caps(uses, name, settings["trials"]).values()
        for linear in weights
    )
    seconds = table + _TRIAL_S * (real + settings["stock_trials"] * 3)
    say(f"{len(distinct)} spaces of {sum(sizes.values())} points, {real} real trials: about {duration(seconds)}")


def measure(
    linears: Sequence[Linear], spec: TargetSpec, seed: int, passes: int
) -> dict[Linear, tuple[tuple[str, dict[str, Any], float], ...]]:
    """Measure every point of every space with cold weights, as the tuner does; seconds are the median of the passes.

    Raises
    ------
    MissingTask
        If a point cannot be built or timed: a table with holes is no yardstick.
    """
    found = {}
    with machine.exclusive("measuring design spaces"), Bench(spec, seed) as bench:
        for linear in track(linears, "measuring every point of"):
            points = candidates(linear, spec)
            timings = [
                bench.time(library, passes, _SAMPLE_LENGTH_S) if isinstance(library, Path) else library
                for library in bench.build(points)
            ]
            if reasons := [timing for timing in timings if isinstance(timing, str)]:
                raise MissingTask(f"a point of {linear} has no time: {reasons[0]}")
            found[linear] = tuple(
                (point.family, dict(point.decisions), statistics.median(timing.cold_ns) * 1e-9)
                for point, timing in zip(points, timings, strict=True)
                if not isinstance(timing, str)
            )
    return found


def scheduled(spaces: Sequence[Space], arm: str, spec: TargetSpec, cap: int) -> dict[str, Any]:
    """Tune the tasks for real, from nothing; the pick of each is looked up in its table, which judges all alike."""
    tasks = [replace(task_of(space.linear), weights=[space.weight]) for space in spaces]
    with tempfile.TemporaryDirectory(prefix="codesign-budget-") as scratch:
        folder = Path(scratch) / spec.key
        with capture_output(stderr=False):  # in a notebook, TVM displays a table of all tasks after every batch
            report = compiler.tune(tasks, database=folder, spec=spec, trials_per_task=cap, second_look=False)
        opened = compiler.open_database(folder, spec)
        picks = [best_decisions(opened, task) for task in tasks]
        trace = spent_on(folder, tasks)
    seconds = [
        next(s for family, decisions, s in space.points if {"family": family, **decisions} == pick)
        for space, pick in zip(spaces, picks, strict=True)
    ]
    row = _search(spaces, arm, "scheduler", trace, seconds=report.seconds, failed=report.failed_trials)
    trials = [len(report.measured[task.digest]) for task in tasks]
    chosen = [
        task | {"trials": count, "chosen_ns": s * 1e9}
        for task, count, s in zip(row["tasks"], trials, seconds, strict=True)
    ]
    return row | {"tasks": chosen}


def spent_on(folder: Path, tasks: Sequence[Task]) -> Trace:
    """Read from a database in which order trials went to tasks, and the weighted seconds by the times of that run."""
    workloads, records = (
        [json.loads(line) for line in (folder / name).read_text().splitlines()] for name in (WORKLOADS, RECORDS)
    )
    places = {int(task.digest, 16): at for at, task in enumerate(tasks)}
    task_at = [places[int(shash) % 2**64] for shash, _ in workloads]
    best = [math.inf] * len(tasks)
    trace: Trace = []
    for workload, (_, seconds, *_) in records:
        at = task_at[workload]
        best[at] = min(best[at], mean_seconds(seconds) or math.inf)
        total = sum(task.weight * time for task, time in zip(tasks, best, strict=True))
        trace.append((at, total if math.isfinite(total) else None))
    return trace


def _table(spaces: Iterable[Space]) -> dict[str, Any]:
    tasks = [
        {
            "linear": asdict(space.linear),
            "weight": space.weight,
            "points": [{"family": f, "decisions": d, "ns": s * 1e9} for f, d, s in space.points],
        }
        for space in spaces
    ]
    about = {"arm": "table", "strategy": "exhaustive", "search_seed": 0, "seconds": 0.0, "failed": 0}
    return about | {"tasks": tasks, "trace": []}


def _search(spaces: Iterable[Space], arm: str, strategy: str, trace: Trace, **more: Any) -> dict[str, Any]:
    tasks = [{"linear": asdict(space.linear), "weight": space.weight} for space in spaces]
    rows = [[at, None if seconds is None else seconds * 1e9] for at, seconds in trace]
    about = {"arm": arm, "strategy": strategy, "search_seed": 0, "seconds": 0.0, "failed": 0}
    return about | {"tasks": tasks, "trace": rows} | more
