"""What `search` records say: how far a search is from the best of its space, and what stock rules reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from codesign.errors import MissingRecord
from codesign.measure.ratios import Interval
from codesign.schema import Record
from codesign.study.evidence import OURS, Evidence, missing

#: Shares of the final latency that tuning has to come within, and the seconds it may take.
CLOSE, BUDGET_S = 1.05, 180.0
PRODUCER = "notebook 10_search"
_RESAMPLES = 2000

#: Strategies that ran, and did not only choose what to look up.
COMPARED = ("stock rules", "scheduler", "exhaustive")
_NOTHING = {name.replace(" ", "_") + end: "-" for name in COMPARED for end in ("", "_trials")}

Task = tuple[int, int]  # outputs, inputs


def excess(records: Iterable[Record], strategy: str) -> dict[Task, np.ndarray]:
    """Return how much slower than the best of the space each search's best was, over all of its trials.

    Returns
    -------
    dict
        Task -> float64 [searches, trials]; 0 where the best point has been found.
    """
    records = list(records)
    best = {_task(record): record["best_ns"][-1] for record in records if record["strategy"] == "exhaustive"}
    found: dict[Task, list[Any]] = {}
    for record in records:
        if record["strategy"] == strategy:
            found.setdefault(_task(record), []).append(np.array(record["best_ns"]) / best[_task(record)] - 1)
    return {task: np.array(curves) for task, curves in found.items()}


def lead(records: Iterable[Record], strategy: str) -> Interval:
    """Return how many times further from the best a random search is than another, on average over equal trials.

    The interval comes from resampling the searches of each task.
    """
    records = list(records)
    both = [excess(records, name) for name in ("random", strategy)]
    if not all(both):
        raise missing("search", strategy=strategy)
    rng = np.random.default_rng(0)

    def mean(tasks: Mapping[Task, np.ndarray], resample: bool) -> float:
        rows = [c[rng.integers(len(c), size=len(c))] if resample else c for c in tasks.values()]
        return float(np.mean([row.mean() for row in rows]))

    def ratio(resample: bool) -> float:
        # a search that starts at the best point of every space leaves nothing to be better at
        random, other = (mean(tasks, resample) for tasks in both)
        return random / other if other else 1.0

    return Interval(ratio(False), *np.percentile([ratio(True) for _ in range(_RESAMPLES)], [2.5, 97.5]).tolist())


def standing(records: Iterable[Record], strategy: str) -> Interval:
    """Return the share of its space that the pick of a search is at least as fast as, averaged over searches."""
    shares = [1 - (r["rank"] - 1) / r["space"] for r in records if r["strategy"] == strategy]
    if not shares:
        raise missing("search", strategy=strategy)
    rng = np.random.default_rng(0)
    draws = rng.choice(shares, (_RESAMPLES, len(shares))).mean(1)
    return Interval(float(np.mean(shares)), *np.percentile(draws, [2.5, 97.5]).tolist())


def seconds_until_close(tuning: Record) -> float:
    """Return the seconds until a tuning run was within `CLOSE` of its final weighted latency."""
    curve = [(seconds, ns) for seconds, _, ns in tuning["curve"] if ns is not None]
    if not curve:
        raise MissingRecord("tuning", {"curve": "of a finished run"}, PRODUCER)
    return float(next(seconds for seconds, ns in curve if ns <= CLOSE * curve[-1][1]))


def from_nothing(evidence: Evidence) -> list[Record]:
    """Return the tuning runs of one of our encoders that began with an empty database.

    Raises
    ------
    MissingRecord
        If there is none.
    """
    found = [r for r in evidence.records("tuning") if r.get("from_nothing") and r["engine"] == OURS]
    if not found:
        raise MissingRecord("tuning", {"engine": OURS, "from_nothing": True}, PRODUCER)
    return found


def margin(evidence: Evidence) -> Interval:
    """Effect: how many times the tuning of one encoder fits into its budget of time; all runs lie in the interval."""
    values = [BUDGET_S / max(seconds_until_close(run), 1e-9) for run in from_nothing(evidence)]
    return Interval(float(np.median(values)), min(values), max(values))


def compared(records: Iterable[Record]) -> list[dict[str, str]]:
    """Lay out as text who reaches what in each task: stock rules, the scheduler, and the best of the space.

    Returns
    -------
    list[dict]
        ``n``, ``k``, ``m``; the GFLOP/s of ``stock_rules``, ``scheduler`` and ``exhaustive``, and how many trials each
        had, as in ``stock_rules_trials``; the scheduler's ``rank``, as in ``"2 of 24"``. A dash where nothing ran.
    """
    rows: dict[Task, dict[str, str]] = {}
    for record in records:
        row = rows.setdefault(_task(record), {name: str(record[name]) for name in "nkm"} | {"rank": "-"} | _NOTHING)
        if record["strategy"] in COMPARED and record["best_ns"]:
            name = record["strategy"].replace(" ", "_")
            row[name] = f"{record['flop'] / record['best_ns'][-1]:.0f}"
            row[f"{name}_trials"] = str(len(record["best_ns"]) + record["failed"])
        if record["strategy"] == "scheduler":
            row["rank"] = f"{record['rank']} of {record['space']}"
    return list(rows.values())


def searched_numbers(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yield what tuning from nothing takes, and ranks of picks, as key and text."""
    if any(r.get("from_nothing") for r in evidence.records("tuning")):
        runs = from_nothing(evidence)
        yield "nothing.runs", str(len(runs))
        yield "nothing.close", f"{np.median([seconds_until_close(run) for run in runs]):.0f} s"
        yield "nothing.seconds", f"{np.median([run['seconds'] for run in runs]):.0f} s"
        yield "nothing.trials", f"{runs[-1]['trials']:,}"
        yield "nothing.tasks", str(runs[-1]["tasks"])


def _task(record: Record) -> Task:
    return record["n"], record["k"]
