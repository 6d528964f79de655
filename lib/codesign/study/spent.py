"""What `budget` records say: how far from its best an encoder is after so many trials, by allocation and arm."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from codesign.measure.ratios import Interval
from codesign.schema import Record
from codesign.study.evidence import Evidence, missing
from codesign.study.words import shape_order

#: Decided before anything was measured: how much closer is closer, and how far apart is still the same.
CLOSER, SAME = 1.02, 0.98
#: The next trial stops helping where all later ones together gain less than this.
LITTLE = 0.01
#: The encoder that the claims are about: one with real weights.
MODEL, SCOPE = "minilm", "attention"
_RESAMPLES = 2000

Group = tuple[str, str]  # block, allocation


def bests(records: Iterable[Record]) -> dict[Group, float]:
    """Return the weighted latency in ns of the best point of every space, for each block and allocation."""
    return {
        (record["block"], record["allocation"]): sum(
            task["weight"] * min(point["ns"] for point in task["points"]) for task in record["tasks"]
        )
        for record in records
        if record["arm"] == "table"
    }


def curves(records: Iterable[Record], arm: str) -> dict[Group, np.ndarray]:
    """Return how much slower than with the best points the encoder is, trial by trial, of each replayed search.

    Returns
    -------
    dict
        float64 [searches, trials]; NaN until every task has a time.
    """
    records = list(records)
    best = bests(records)
    found: dict[Group, list[np.ndarray]] = {}
    for record in records:
        if (record["arm"], record["strategy"]) == (arm, "replay"):
            group = record["block"], record["allocation"]
            ns = np.array([np.nan if ns is None else ns for _, ns in record["trace"]])
            found.setdefault(group, []).append(ns / best[group] - 1)
    return {group: np.array(each) for group, each in found.items()}


def real_excess(record: Record, best: float) -> float:
    """How much slower than with the best points the picks of a real search are, by the table that judges all."""
    return float(sum(task["weight"] * task["chosen_ns"] for task in record["tasks"]) / best - 1)


def enough(excess: np.ndarray) -> int:
    """Return after how many trials the mean search is within `LITTLE` of where it ends."""
    mean = excess.mean(axis=0)
    return int(np.argmax(mean - mean[-1] <= LITTLE)) + 1  # comparisons with NaN are false


def rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Lay out each block, arm and allocation: tasks, trials, where searches end, replayed and real."""
    records = list(records)
    best, table = bests(records), list[dict[str, Any]]()
    for arm in ("total", "each"):
        for (block, allocation), excess in curves(records, arm).items():
            real = [r for r in records if (r["block"], r["allocation"], r["arm"]) == (block, allocation, arm)]
            real = [record for record in real if record["strategy"] == "scheduler"]
            ends = excess[:, -1]
            low, high = np.percentile(ends, [2.5, 97.5])
            ran = real_excess(real[-1], best[block, allocation]) if real else None
            table.append(
                {
                    "arm": {"total": "the same in total", "each": "the same for each task"}[arm],
                    **{"block": block, "allocation": allocation, "tasks": len(real[-1]["tasks"]) if real else 0},
                    **{"trials": excess.shape[1], "end": float(ends.mean()), "low": float(low), "high": float(high)},
                    **{"enough": enough(excess), "real": "-" if ran is None else f"{ran:.1%}"},
                    "agrees": "-" if ran is None else "yes" if low - LITTLE <= ran <= high + LITTLE else "no",
                }
            )
    return sorted(table, key=lambda row: (row["arm"], shape_order(row["block"]), row["allocation"]))


def by_rules(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Lay out each size of a layer: GFLOP/s of TVM's rules on its row-balanced form, and of our families.

    Ours are of the uniform layer of the same size and shape: tuned for real with the budget of a task, and the best
    point of its space. Its epilogue may be another one; its number of blocks differs by rounding.
    """
    records, table = list(records), list[dict[str, Any]]()
    for stock in (record for record in records if record["arm"] == "stock"):
        same = [r for r in records if (r["block"], r["allocation"]) == (stock["block"], "uniform")]
        for task in stock["tasks"]:
            size = task["linear"]["outputs"], task["linear"]["inputs"]
            best = [_gflops(t, min(p["ns"] for p in t["points"])) for t in _sized(same, "table", "exhaustive", size)]
            tuned = [_gflops(t, t["chosen_ns"]) for t in _sized(same, "each", "scheduler", size)]
            reached = [ns for _, ns in stock["trace"] if ns is not None]
            if best and tuned and reached:
                about = {"block": stock["block"], "outputs": size[0], "inputs": size[1], "trials": len(reached)}
                ours = {"tuned": tuned[0], "best": best[0]}
                table.append(about | {"stock": task["flop"] / min(reached)} | ours)
    return table


def _sized(records: Iterable[Record], arm: str, strategy: str, size: tuple[int, int]) -> list[dict[str, Any]]:
    chosen = [record for record in records if (record["arm"], record["strategy"]) == (arm, strategy)]
    tasks = [task for record in chosen for task in record["tasks"]]
    return [task for task in tasks if (task["linear"]["outputs"], task["linear"]["inputs"]) == size]


def _gflops(task: dict[str, Any], ns: float) -> float:
    linear = task["linear"]
    flops = 2 * linear["tokens"] * linear["nnz"] * linear["rows"] * linear["cols"]
    return float(flops / ns)


def ahead(arm: str) -> Callable[[Evidence], Interval]:
    """Effect: time over its best of ``global`` over that of ``uniform``, for the block shape where it is least."""
    return lambda evidence: _least(ratios(_records(evidence), arm).values())


def no_difference(evidence: Evidence) -> Interval:
    """Effect: one less the difference of the two at equal trials for each task, where it is largest."""
    return _least(closeness(ratio) for ratio in ratios(_records(evidence), "each").values())


def ratios(records: Iterable[Record], arm: str) -> dict[str, Interval]:
    """Return for each block how far ``global`` ends from its best over ``uniform``: means over searches, resampled.

    The interval is about the chance in searches: all of them look up the same table.
    """
    found, rng = curves(records, arm), np.random.default_rng(0)
    result = {}
    for block in dict.fromkeys(block for block, _ in found):
        if not {(block, "uniform"), (block, "global")} <= found.keys():
            raise missing("budget", block=block, arm=arm)
        ours, other = (1 + found[block, allocation][:, -1] for allocation in ("uniform", "global"))
        drawn = (rng.choice(other, (_RESAMPLES, len(other))).mean(1)) / (
            rng.choice(ours, (_RESAMPLES, len(ours))).mean(1)
        )
        result[block] = Interval(float(other.mean() / ours.mean()), *np.percentile(drawn, [2.5, 97.5]).tolist())
    if not result:
        raise missing("budget", arm=arm)
    return result


def closeness(ratio: Interval) -> Interval:
    """Return one less the distance of a ratio from 1, with the interval that follows."""
    far = max(abs(ratio.low - 1), abs(ratio.high - 1))
    near = 0.0 if ratio.low <= 1 <= ratio.high else min(abs(ratio.low - 1), abs(ratio.high - 1))
    return Interval(1 - abs(ratio.value - 1), 1 - far, 1 - near)


def _records(evidence: Evidence) -> list[Record]:
    where = {"pruner": evidence.pruner, "batch": evidence.batch, "seq": evidence.seq, "threads": evidence.threads}
    found = evidence.read("budget", model=MODEL, scope=SCOPE, sparsity=evidence.sparsity, **where)
    newest = {record["block"]: record["run_id"] for record in found}
    return [record for record in found if record["run_id"] == newest[record["block"]]]


def _least(intervals: Iterable[Interval]) -> Interval:
    ends = np.array([(each.value, each.low, each.high) for each in intervals])
    return Interval(*(float(end) for end in ends.min(axis=0)))
