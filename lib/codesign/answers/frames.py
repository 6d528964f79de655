"""Records as tables: one frame a kind, and which rows of it a number, a figure or a claim rests on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from codesign.answers.words import shape_order
from codesign.engines import ENGINES, SPARSE
from codesign.errors import MissingRecord
from codesign.isa import NATIVE
from codesign.measure.ratios import Interval, median, ratio
from codesign.measure.session import REFERENCES
from codesign.records import Record, Results
from codesign.schema import KINDS
from codesign.study import places
from codesign.study.places import ASIDE

#: What an engine that computes zeros makes of pruned weights: nothing.
DENSE = ("none", "dense")
#: The engine that runs pruned weights in blocks, and the same compiler on dense weights.
OURS, OUR_DENSE = "tvm-bsr", "tvm-dense"
#: Engines that run what we compile.
COMPILED = [name for name in ENGINES if name.startswith("tvm-")]
#: In every session: what the two ends of a comparison across sessions are related to.
RELATED = "openvino"
#: What tells the contenders of a session apart; an engine that computes zeros has one row for every scope and shape.
CONTENDER = ["engine", "stored_scope", "stored_block"]
#: What pruning and training give is the same wherever they run. All other kinds are about one machine.
TRAVELS = ("pattern", "accuracy", "rating")
_EVERY = list(
    dict.fromkeys([*(name for kind in KINDS.values() for name in kind.model_fields), "record", *CONTENDER, "doubt"])
)
#: How `codesign.measure.ratios.doubts` ends what it says of one engine, and joins what it says.
_ALONE, _JOINED = " against alone", "; "


def frame(records: Iterable[Record]) -> pd.DataFrame:
    """Return one row a record, oldest first.

    Returns
    -------
    pandas.DataFrame
        A column for each field that is a number, a text or a truth value; ``record``, the whole record with its
        samples; and where there is an engine ``stored_scope`` and ``stored_block``, what it stores of the pruning, and
        ``doubt``, why its time is in doubt (empty where it is not). Without any record it has the columns of all kinds.
    """
    records = list(records)
    if not records:
        return pd.DataFrame(columns=_EVERY)
    rows = [{name: v for name, v in record.items() if type(v) not in (dict, list)} for record in records]
    table = pd.DataFrame(rows)
    texts = dict.fromkeys(table.select_dtypes("str"), object)
    # columns of one type lie together in a copy, and rows are chosen much faster
    table = table.astype(texts).assign(record=pd.Series(records, dtype=object)).copy()
    if "engine" in table:
        zeros = ~table["engine"].isin(SPARSE)
        table["stored_scope"] = table["scope"].mask(zeros, DENSE[0])
        table["stored_block"] = table["block"].mask(zeros, DENSE[1])
        table["doubt"] = [_JOINED.join(doubts_of(record)) for record in records]
    return table


def doubts_of(record: Mapping[str, Any]) -> list[str]:
    """Return the reasons why a timing is in doubt; none where its session was not flagged.

    Its A/A control, a reference engine or a disturbed machine casts doubt on all of a session. An engine that took
    another time among the others than alone is in doubt itself: the ratio of two others does not pass through it
    (decision 0024).
    """
    if not record.get("flagged"):
        return []
    own = f"{record['engine']} {record['scope']} {record['block']}: "
    concerns = (own, *(f"{engine} " for engine in REFERENCES))
    reasons = (record.get("flag_reason") or "flagged").split(_JOINED)
    return [reason for reason in reasons if not reason.endswith(_ALONE) or reason.startswith(concerns)]


def usable(latencies: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that have a time and are no controls."""
    return latencies[(latencies["status"] == "ok") & latencies["control"].isna()]


def newest(rows: pd.DataFrame, by: list[str] = CONTENDER) -> pd.DataFrame:
    """Return the last row of each group, in the order of the rows."""
    return rows.groupby(by, sort=False, dropna=False).tail(1)


def beside(latencies: pd.DataFrame, scope: str) -> pd.DataFrame:
    """Return the newest usable times of every contender, those of dense engines from the session of ``scope``.

    Absolute times drift between sessions, so what is drawn or listed side by side was timed side by side. An engine
    that was not in that session keeps its newest time.
    """
    rows = usable(latencies)
    shapes = where(rows, engine=OURS, scope=scope)
    if not len(shapes):
        return newest(rows)
    together = rows["session_id"] == shapes.iloc[-1]["session_id"]
    return newest(pd.concat([rows[~together], rows[together]]))


def where(rows: pd.DataFrame, **fields: object) -> pd.DataFrame:
    """Return the rows whose columns equal ``fields``."""
    return (
        rows[np.logical_and.reduce([rows[name].to_numpy() == value for name, value in fields.items()])]
        if fields
        else rows
    )


def by_shape(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows in the order of block shapes; those of one shape stay as they come."""
    return rows.sort_values("block", key=lambda blocks: blocks.map(shape_order), kind="stable", ignore_index=True)


def compiled_for(rows: pd.DataFrame, isa: str) -> pd.DataFrame:
    """Return the rows of engines compiled for an instruction set, and of those that we do not compile."""
    known = "isa" in rows and "engine" in rows
    return rows[(rows["isa"] == isa) | ~rows["engine"].isin(COMPILED)] if known else rows


def missing(kind: str, **fields: object) -> MissingRecord:
    """Return the error that names the record which is missing and the notebook that makes it."""
    return MissingRecord(kind, fields, KINDS[kind].producer)


def median_ms(record: Record) -> Interval:
    """Return the median of a latency record with its interval, in milliseconds."""
    ns = median(record)
    return Interval(ns.value / 1e6, ns.low / 1e6, ns.high / 1e6)


def fastest(records: Iterable[Record]) -> Record:
    """Return the latency record with the least median, the first of several."""
    return min(records, key=lambda record: float(np.median(record["samples_ns"])))


@dataclass(frozen=True)
class Frames:
    """The records of one machine, and the operating point that claims are about.

    Parameters
    ----------
    results
        Where records are read from.
    model, sparsity, batch, seq, threads, pruner
        The operating point. Dense records match whatever their sparsity and pruner.
    isa
        What our engines were compiled for; the others match always.
    committed
        Folder with the results of other machines; the one that these lie in by default.
    """

    results: Results
    model: str = "bert-base"
    sparsity: float = 0.8
    batch: int = 1
    seq: int = 128
    threads: int = 2
    pruner: str = "magnitude"
    isa: str = NATIVE
    committed: Path | None = None
    _read: dict[str, pd.DataFrame] = field(default_factory=dict, init=False, repr=False, compare=False)
    #: Latency records that a `gain` compared, in order: what a number was made of.
    compared: list[Record] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def load(self) -> dict[str, Any]:
        """The batch, the tokens of a sequence and the threads."""
        return {"batch": self.batch, "seq": self.seq, "threads": self.threads}

    def all(self, kind: str) -> pd.DataFrame:
        """Return what this machine recorded of a kind, at any point; what was done on demand is left out."""
        if kind not in self._read:
            here = {} if kind in TRAVELS or self.machine_id is None else {"machine_id": self.machine_id}
            records = self.results.read(kind, **here)
            last = records[-1]["measurement"] if records else None  # times of two versions are never compared
            self._read[kind] = frame(r for r in records if r["profile"] not in ASIDE and r["measurement"] == last)
        return self._read[kind]

    def at(self, kind: str) -> pd.DataFrame:
        """Return the rows of a kind at the operating point, oldest first."""
        key = f"{kind} at the point"
        if key not in self._read:
            rows = compiled_for(where(self.all(kind), model=self.model, **self.load), self.isa)
            pruned = (rows["sparsity"] == self.sparsity) & (rows["pruner"] == self.pruner)
            self._read[key] = rows[pruned | (rows["block"] == "dense")]
        return self._read[key]

    @cached_property
    def machine_id(self) -> str | None:
        """The machine that was timed last (whose machine record is newest when none was); None when there is none."""
        known = self.results.read("latency") or self.results.read("machine")
        return str(known[-1]["machine_id"]) if known else None

    @cached_property
    def machine(self) -> Record:
        """The newest record of what this machine is.

        Raises
        ------
        MissingRecord
            If there is none.
        """
        if not len(described := self.all("machine")):
            raise missing("machine")
        return described.iloc[-1]["record"]

    @cached_property
    def machines(self) -> list[Frames]:
        """This machine, then the others whose results are committed, each at the same operating point.

        Beside local results a machine with committed ones counts as another, even if it is this one.
        """
        root = self.committed or self.results.root
        others = [replace(self, results=Results(name, root)) for name in places.machines(root)]
        known = [] if self.results.local else [self.machine_id]
        found = [self]
        for other in others:
            if other.results.machine != self.results.machine and other.machine_id not in known:
                known.append(other.machine_id)
                found.append(other)
        return found

    def beside(self, scope: str) -> pd.DataFrame:
        """Return `beside` of the times at the operating point."""
        return beside(self.at("latency"), scope)

    @cached_property
    def latencies(self) -> dict[tuple[str, str, str], Record]:
        """The newest usable record of every `CONTENDER`, dense ones from the newest session with a sparse engine."""
        sparse = where(self.at("latency"), engine=OURS)
        rows = self.beside(sparse.iloc[-1]["scope"]) if len(sparse) else newest(usable(self.at("latency")))
        return dict(zip(rows[CONTENDER].itertuples(index=False, name=None), rows["record"], strict=True))

    def latency(self, engine: str, scope: str = DENSE[0], block: str = DENSE[1]) -> Record:
        """Return the newest usable latency record of one contender.

        Raises
        ------
        MissingRecord
            If it was not timed.
        """
        if (engine, scope, block) not in self.latencies:
            raise missing("latency", engine=engine, scope=scope, block=block)
        return self.latencies[engine, scope, block]

    def shapes(self, scope: str, engine: str = OURS) -> dict[str, Record]:
        """Return block shape -> latency record of a sparse engine, in the order of shapes."""
        found = {block: r for (name, part, block), r in self.latencies.items() if (name, part) == (engine, scope)}
        return {block: found[block] for block in sorted(found, key=shape_order)}

    def gain(self, slow: Record, fast: Record) -> Interval:
        """Return how many times ``fast`` is faster than ``slow``, through `RELATED` where sessions differ."""
        self.compared.extend((slow, fast))
        if slow["session_id"] == fast["session_id"]:
            return ratio(slow, fast)
        shared = [self.in_session(record, RELATED, *DENSE) for record in (slow, fast)]
        return ratio(slow, fast, via=(shared[0], shared[1]) if shared[0] and shared[1] else None)

    def speedup(self, slow: tuple[str, str, str], fast: tuple[str, str, str]) -> Interval:
        """Return how many times one contender is faster than another: a ratio of medians with its interval.

        The slow one is taken from the session of the fast one when it took part in it.
        """
        record = self.latency(*fast)
        return self.gain(self.in_session(record, *slow) or self.latency(*slow), record)

    def in_session(self, record: Record, *contender: str) -> Record | None:
        """Return the usable record of a contender in the session of another record, if it took part."""
        return self._sessions.get((record["session_id"], *contender))

    @cached_property
    def _sessions(self) -> dict[tuple[str, ...], Record]:
        rows = usable(self.at("latency"))
        keys = rows[["session_id", *CONTENDER]].itertuples(index=False, name=None)
        return dict(zip(keys, rows["record"], strict=True))
