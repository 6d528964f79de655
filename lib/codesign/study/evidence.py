"""Choosing records: the one place that says which records a number, a figure or a claim rests on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

from codesign.errors import MissingRecord
from codesign.measure import ratio

Record = Mapping[str, Any]
Key = tuple[str, str, str]  # engine (or "" for kinds without one), scope, block

DENSE: Key = ("tvm-dense", "none", "dense")
RESAMPLES = 2000

MADE_BY = {
    "machine": ("04_latency", "make reproduce"),
    "pattern": ("01_prune", "make reproduce"),
    "compile": ("02_compile", "make reproduce"),
    "task": ("02_compile", "make reproduce"),
    "tuning": ("03_tune", "make reproduce"),
    "latency": ("04_latency", "make reproduce"),
}


class Interval(NamedTuple):
    """An estimate and the ends of its 95% interval, all in the unit of ``value``."""

    value: float
    low: float
    high: float


class Source(Protocol):
    """What this module needs of `codesign.records.Results`."""

    @property
    def mode(self) -> str: ...

    def read(self, kind: str, **filters: Any) -> list[dict[str, Any]]: ...


def median_interval(record: Record, confidence: float = 0.95, seed: int = 0) -> Interval:
    """Return the median of a latency record in milliseconds, with a bootstrap interval over its rounds.

    Whole rounds are drawn, not single calls: calls of one round share the machine's mood.
    """
    samples = np.asarray(record["samples_ns"], dtype=float) / 1e6
    rounds = np.split(samples, np.cumsum(record["rounds"])[:-1])
    draw = np.random.default_rng(seed)
    picks = draw.integers(len(rounds), size=(RESAMPLES, len(rounds)))
    medians = [np.median(np.concatenate([rounds[i] for i in pick])) for pick in picks]
    tail = (1 - confidence) / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    return Interval(float(np.median(samples)), float(low), float(high))


@dataclass(frozen=True)
class Evidence:
    """The newest good records of one model at one operating point.

    Parameters
    ----------
    results
        Where records are read from.
    model, sparsity, batch, seq, threads, pruner
        The operating point. Dense records match whatever their sparsity and pruner.
    """

    results: Source
    model: str = "bert-base"
    sparsity: float = 0.8
    batch: int = 1
    seq: int = 128
    threads: int = 2
    pruner: str = "magnitude"
    _cache: dict[str, list[dict[str, Any]]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def records(self, kind: str) -> list[dict[str, Any]]:
        """Return every record of ``kind`` at this operating point, oldest first."""
        if kind not in self._cache:
            found = self.results.read(kind, model=self.model, batch=self.batch, seq=self.seq, threads=self.threads)
            self._cache[kind] = [r for r in found if self._matches(r)]
        return self._cache[kind]

    def _matches(self, record: Record) -> bool:
        dense = record["block"] == "dense"
        return dense or (record["sparsity"] == self.sparsity and record["pruner"] == self.pruner)

    @cached_property
    def machine(self) -> dict[str, Any]:
        """The machine of the newest latency record (of the newest machine record when nothing was timed)."""
        machines = self.results.read("machine")
        timed = self.results.read("latency")
        if timed:
            machines = [m for m in machines if m["machine_id"] == timed[-1]["machine_id"]]
        if not machines:
            raise missing("machine")
        return machines[-1]

    @cached_property
    def latencies(self) -> dict[Key, Record]:
        """The newest usable latency record of every (engine, scope, block); controls are left out."""
        return newest_latencies(self.records("latency"))

    def newest(self, kind: str) -> dict[Key, dict[str, Any]]:
        """Return the newest record of ``kind`` for every (engine, scope, block)."""
        return {(r.get("engine", ""), r["scope"], r["block"]): r for r in self.records(kind)}

    def latency(self, key: Key) -> Record:
        """Return the newest usable latency record of one contender, or raise `MissingRecord`."""
        try:
            return self.latencies[key]
        except KeyError:
            raise missing("latency", **dict(zip(("engine", "scope", "block"), key, strict=True))) from None

    def shapes(self, scope: str, engine: str = "tvm-bsr") -> dict[str, Record]:
        """Return block shape -> latency record of ``engine`` for one scope."""
        return {block: r for (e, s, block), r in self.latencies.items() if (e, s) == (engine, scope)}

    def speedup(self, slow: Key, fast: Key) -> Interval:
        """Return how many times ``fast`` is faster than ``slow``: a ratio of medians with its interval.

        The slow contender is taken from the session of the fast one when it took part in it.
        """
        fast_record = self.latency(fast)
        return ratio_of(self._in_session(slow, fast_record["session_id"]), fast_record)

    def _in_session(self, key: Key, session: str) -> Record:
        together = newest_latencies(r for r in self.records("latency") if r["session_id"] == session)
        return together.get(key) or self.latency(key)

    def tasks(self, engine: str, scope: str, block: str) -> list[dict[str, Any]]:
        """Return the tuning tasks of one compiled model, each once (the newest record of its digest)."""
        here = (r for r in self.records("task") if (r["engine"], r["scope"], r["block"]) == (engine, scope, block))
        return list({r["digest"]: r for r in here}.values())


def newest_latencies(records: Iterable[Record]) -> dict[Key, Record]:
    """Return the newest usable record of every (engine, scope, block); controls and failures are left out."""
    return {(r["engine"], r["scope"], r["block"]): r for r in records if r["status"] == "ok" and not r["control"]}


def ratio_of(slow: Record, fast: Record) -> Interval:
    """Return ``median(slow) / median(fast)`` with its interval."""
    found = ratio(slow, fast)
    return Interval(found.value, found.low, found.high)


def missing(kind: str, **filters: Any) -> MissingRecord:
    """Return the error that names the record which is missing and the notebook that makes it."""
    notebook, command = MADE_BY.get(kind, ("?", "make reproduce"))
    wanted = ", ".join(f"{name}={value}" for name, value in filters.items()) or "any"
    return MissingRecord(f"no {kind} record with {wanted}: notebook {notebook} makes it ({command})")


def flagged(records: Iterable[Record]) -> list[str]:
    """Return the reasons why the sessions of these records are not to be trusted; empty when they are."""
    return sorted({r["flag_reason"] or "flagged" for r in records if r.get("flagged")})
