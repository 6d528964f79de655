"""What `search` records and tuning from nothing say: how near the real search comes, what stock rules reach."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from codesign.errors import MissingRecord
from codesign.measure.ratios import Interval
from codesign.schema import Record
from codesign.study.evidence import OURS, Evidence

#: Shares of the final latency that tuning has to come within, and the seconds it may take.
CLOSE, BUDGET_S = 1.05, 180.0
PRODUCER = "notebook 10_search"

#: The columns of the table; committed records also have searches that were replayed.
COMPARED = ("stock rules", "scheduler", "exhaustive")
_NOTHING = {name.replace(" ", "_") + end: "-" for name in COMPARED for end in ("", "_trials")}

Task = tuple[int, int]  # outputs, inputs


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


#: Claim id -> statement, effect, threshold and unit.
SEARCH_CLAIMS: tuple[tuple[str, str, Callable[[Evidence], Interval], float, str], ...] = (
    ("tuning-time", "Tuning all tasks of one encoder from nothing comes within 5% of its final kernel time in three "
     "minutes.", margin, 1.0, "ratio"),
)  # fmt: skip


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
