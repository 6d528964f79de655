"""Every timing as a row of text, for a table that a reader can sort and filter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from codesign.answers.words import ENGINE_LABELS, shape_order, three_digits, times
from codesign.engines import ENGINES
from codesign.isa import NATIVE
from codesign.measure.ratios import ratio
from codesign.schema import Record
from codesign.study.doubts import doubts_of
from codesign.study.evidence import key_of, median_ms
from codesign.study.places import ASIDE

OUR_DENSE = "tvm-dense"


class Cell(NamedTuple):
    """What a reader sees, and what the column is sorted by; `NOTHING` comes last, whichever way."""

    text: str
    order: float | str


NOTHING = Cell("-", "")


#: Heads of the columns, and whether one can be chosen by its values.
COLUMNS = {
    "engine": True,
    "scope": True,
    "block": True,
    "sparsity": True,
    "median, ms": False,
    "95% interval, ms": False,
    "over our dense": False,
    "model": True,
    "batch": False,
    "tokens": False,
    "threads": False,
    "type": False,
    "largest error": False,
    "session": False,
    "remark": False,
}


def rows(records: Iterable[Record]) -> list[list[Cell]]:
    """Return one row for each `latency` record, with a cell for each of `COLUMNS`; what was only tried is left out.

    A gain is over our dense engine in the same session. An engine that computes zeros has block "dense" and no
    sparsity, whatever was pruned in the weights that it was given.
    """
    kept = [record for record in records if record["profile"] not in ASIDE]
    dense = {
        record["session_id"]: record
        for record in kept
        if record["engine"] == OUR_DENSE and record["status"] == "ok" and not record["control"]
    }
    blocks = sorted({key_of(record)[2] for record in kept}, key=shape_order)
    return [_row(record, dense.get(record["session_id"]), blocks) for record in kept]


def _row(record: Record, dense: Record | None, blocks: list[str]) -> list[Cell]:
    engine, scope, block = key_of(record)
    isa = record.get("isa", NATIVE)
    name = ENGINE_LABELS[engine] + ("" if isa == NATIVE else f", {isa}")
    kind = ENGINES[engine].format if engine in ENGINES else record["format"]
    session = record["session_id"].rpartition("-")[2]
    time, interval, gain, error = _measured(record, dense)
    return [
        _word(name),
        _word(scope),
        Cell(block, blocks.index(block)),
        NOTHING if block == "dense" else Cell(f"{record['sparsity']:.0%}", record["sparsity"]),
        time,
        interval,
        gain,
        _word(record["model"]),
        *(Cell(str(record[load]), float(record[load])) for load in ("batch", "seq", "threads")),
        _word(kind),
        error,
        Cell(f"{record['started_at'][:10]} {session}", record["started_at"]),
        _word(_remark(record)),
    ]


def _measured(record: Record, dense: Record | None) -> list[Cell]:
    """Return median, interval, gain and error; dashes where the engine gave no time."""
    if record["status"] != "ok":
        return [NOTHING] * 4
    time = median_ms(record)
    gain = None if dense is None or dense is record else ratio(dense, record)
    error = record["max_abs_err"]
    return [
        Cell(three_digits(time.value), time.value),
        Cell(f"{three_digits(time.low)} to {three_digits(time.high)}", time.low),
        NOTHING if gain is None else Cell(times(gain), gain.value),
        NOTHING if error is None else Cell(f"{error:.0e}".replace("e-0", "e-"), error),
    ]


def _remark(record: Record) -> str:
    """Say what keeps a row from counting, or what it is for."""
    if record["status"] != "ok":
        return f"{record['status']}: {record['reason']}"
    if doubts := doubts_of(record):
        return f"flagged: {'; '.join(doubts)}"
    return f"{record['control']} control" if record["control"] else ""


def _word(text: str) -> Cell:
    return Cell(text, text)
