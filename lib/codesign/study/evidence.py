"""Choosing records: the one place that says which records a number, a figure or a claim rests on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from codesign.engines import SPARSE
from codesign.errors import MissingRecord
from codesign.isa import NATIVE
from codesign.measure.ratios import Interval, Ratio, median, ratio
from codesign.schema import KINDS, Record
from codesign.study.places import ASIDE

Key = tuple[str, str, str]  # engine (or "" for kinds without one), scope, block; see `key_of`

#: What an engine that computes zeros makes of pruned weights: nothing.
DENSE = ("none", "dense")

#: In every session: what the two ends of a comparison across sessions are related to.
REFERENCE: Key = ("openvino", *DENSE)

#: The engine that runs pruned weights in blocks.
OURS = "tvm-bsr"

#: What pruning and training give is the same wherever they run. All other kinds are about one machine.
TRAVELS = ("pattern", "accuracy")


def key_of(record: Record) -> Key:
    """Return which contender a record is about.

    All engines of a session are given pruned weights. One that computes zeros takes the same time whatever they are,
    so its scope is "none" and its block "dense", for every scope and shape that its weights were pruned in.
    """
    engine = record.get("engine", "")
    return (engine, *DENSE) if engine and engine not in SPARSE else (engine, record["scope"], record["block"])


def compiled_for(record: Record, isa: str) -> bool:
    """Whether a record is of an engine compiled for ``isa``, or of one that we do not compile."""
    return record.get("isa", NATIVE) == isa or not record.get("engine", "").startswith("tvm-")


class Source(Protocol):
    """What this module needs of `codesign.records.Results`."""

    @property
    def machine(self) -> str: ...

    @property
    def local(self) -> bool: ...

    def read(self, kind: str, **filters: object) -> list[Record]: ...


def median_ms(record: Record) -> Interval:
    """Return the median of a latency record with its interval, in milliseconds."""
    ns = median(record)
    return Interval(ns.value / 1e6, ns.low / 1e6, ns.high / 1e6)


@dataclass(frozen=True)
class Evidence:
    """The newest good records of one model at one operating point, on one machine.

    Parameters
    ----------
    results
        Where records are read from.
    model, sparsity, batch, seq, threads, pruner
        The operating point. Dense records match whatever their sparsity and pruner.
    isa
        What our engines were compiled for; the others match always.
    """

    results: Source
    model: str = "bert-base"
    sparsity: float = 0.8
    batch: int = 1
    seq: int = 128
    threads: int = 2
    pruner: str = "magnitude"
    isa: str = NATIVE
    _cache: dict[str, list[Record]] = field(default_factory=dict, init=False, repr=False, compare=False)
    #: Latency records that went into a `gain`, in order: what a number was made of.
    compared: list[Record] = field(default_factory=list, init=False, repr=False, compare=False)

    def records(self, kind: str) -> list[Record]:
        """Return every record of ``kind`` at this operating point, oldest first."""
        if kind not in self._cache:
            found = self.read(kind, model=self.model, batch=self.batch, seq=self.seq, threads=self.threads)
            self._cache[kind] = [r for r in found if self._matches(r)]
        return self._cache[kind]

    def _matches(self, record: Record) -> bool:
        if record["profile"] in ASIDE:  # does not mix with what the book is about
            return False
        if not compiled_for(record, self.isa):
            return False
        return record["block"] == "dense" or (record["sparsity"] == self.sparsity and record["pruner"] == self.pruner)

    def read(self, kind: str, **filters: object) -> list[Record]:
        """Return the records of ``kind`` that this machine made, of any point; those of others are no evidence here."""
        if kind not in TRAVELS and self.machine_id is not None:
            filters["machine_id"] = self.machine_id
        return self.results.read(kind, **filters)

    @cached_property
    def machine_id(self) -> str | None:
        """The machine that was timed last (whose machine record is newest when none was); None when there is none."""
        known = self.results.read("latency") or self.results.read("machine")
        return str(known[-1]["machine_id"]) if known else None

    @cached_property
    def machine(self) -> Record:
        """The newest record of what this machine is."""
        if not (described := self.read("machine")):
            raise missing("machine")
        return described[-1]

    @cached_property
    def latencies(self) -> dict[Key, Record]:
        """The newest usable latency record of every (engine, scope, block); controls are left out.

        Dense engines took part in several sessions: theirs are those of the newest session with a sparse engine.
        """
        records = self.records("latency")
        sparse = [record["scope"] for record in records if record["engine"] == OURS]
        return beside(records, sparse[-1]) if sparse else newest_latencies(records)

    def newest(self, kind: str) -> dict[Key, Record]:
        """Return the newest record of ``kind`` for every (engine, scope, block)."""
        return {key_of(record): record for record in self.records(kind)}

    def latency(self, key: Key) -> Record:
        """Return the newest usable latency record of one contender, or raise `MissingRecord`."""
        try:
            return self.latencies[key]
        except KeyError:
            raise missing("latency", **dict(zip(("engine", "scope", "block"), key, strict=True))) from None

    def shapes(self, scope: str, engine: str = "tvm-bsr") -> dict[str, Record]:
        """Return block shape -> latency record of ``engine`` for one scope."""
        return {block: r for (e, s, block), r in self.latencies.items() if (e, s) == (engine, scope)}

    def speedup(self, slow: Key, fast: Key) -> Ratio:
        """Return how many times ``fast`` is faster than ``slow``: a ratio of medians with its interval.

        The slow contender is taken from the session of the fast one when it took part in it; otherwise each is related
        to the reference engine of its own session, so that a drift between sessions cancels.
        """
        fast_record = self.latency(fast)
        slow_record = self._session(fast_record).get(slow) or self.latency(slow)
        return self.gain(slow_record, fast_record)

    def gain(self, slow: Record, fast: Record) -> Ratio:
        """Return how many times ``fast`` is faster than ``slow``, through the reference where sessions differ."""
        self.compared.extend((slow, fast))
        if slow["session_id"] == fast["session_id"]:
            return ratio(slow, fast)
        shared = (self._session(slow).get(REFERENCE), self._session(fast).get(REFERENCE))
        return ratio(slow, fast, via=shared if all(shared) else None)  # type: ignore[arg-type]

    def _session(self, record: Record) -> dict[Key, Record]:
        return newest_latencies(r for r in self.records("latency") if r["session_id"] == record["session_id"])

    def tasks(self, engine: str, scope: str, block: str) -> list[Record]:
        """Return the tuning tasks of one compiled model, as its newest run saw them."""
        return newest_tasks(self.records("task")).get((engine, scope, block), [])


def newest_latencies(records: Iterable[Record]) -> dict[Key, Record]:
    """Return the newest usable record of every (engine, scope, block); controls and failures are left out."""
    return {key_of(record): record for record in records if record["status"] == "ok" and not record["control"]}


def beside(records: Iterable[Record], scope: str) -> dict[Key, Record]:
    """Return the newest usable records, those of dense engines from the session that timed the shapes of ``scope``.

    Absolute times drift between sessions, so what is drawn or listed side by side was timed side by side. An engine
    that was not in that session keeps its newest record.
    """
    records = list(records)
    newest = newest_latencies(records)
    shapes = [record for (engine, s, _), record in newest.items() if (engine, s) == (OURS, scope)]
    sessions = {record["session_id"] for record in shapes[-1:]}
    return newest | newest_latencies(record for record in records if record["session_id"] in sessions)


def newest_tasks(records: Iterable[Record]) -> dict[Key, list[Record]]:
    """Return the tasks of every (engine, scope, block), each task once, of the newest run that recorded any."""
    runs: dict[Key, dict[str, Record]] = {}
    for record in records:
        tasks = runs.setdefault(key_of(record), {})
        if any(other["run_id"] != record["run_id"] for other in tasks.values()):
            tasks.clear()
        tasks[record["digest"]] = record
    return {key: list(tasks.values()) for key, tasks in runs.items()}


def missing(kind: str, **filters: object) -> MissingRecord:
    """Return the error that names the record which is missing and the notebook that makes it."""
    return MissingRecord(kind, filters, KINDS[kind].producer)


def newest_session(records: Iterable[Record]) -> list[Record]:
    """Return the records of the newest session; none where there is none."""
    records = list(records)
    return [record for record in records if record["session_id"] == records[-1]["session_id"]]
