"""Several machines beside each other: each is judged by its own records, and no record of one meets another's.

A model that is pruned once and served on several processors wants the shape that loses least where it loses most.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd
from rich.table import Table

from codesign.answers.claims import CHECKS, NOT_MEASURED, SUPPORTED, Verdict, claims, judge, verdicts
from codesign.answers.classes import class_of
from codesign.answers.effects import effect
from codesign.answers.frames import OURS, Frames, by_shape, fastest, missing, where
from codesign.answers.numbers import short_commit, written_by
from codesign.answers.words import TIMES, cpu_label, shape_order, times, vectors
from codesign.answers.yardstick import best_dense
from codesign.errors import MissingRecord
from codesign.measure.ratios import Interval
from codesign.progress import duration
from codesign.schema import Record

#: Said of this machine in a comparison, and of another one that lacks what a claim needs.
HERE, NOT_MEASURED_THERE = "here", "not measured"
UNKNOWN = "unknown"
#: Row heading -> level of the ceilings that it shows, in fp32 and with all threads.
CEILINGS = {
    "multiply-adds, float32": "registers",
    "reading L2": "L2",
    "reading L3": "L3",
    "reading memory": "DRAM",
    "passing data between cores": "between cores",
}
#: Row heading -> field of a machine record, in KiB.
CACHES = {"L1 data cache of a core": "l1d_kib", "L2 cache of a core": "l2_kib", "L3 cache": "l3_kib"}
#: Word of a key -> the two measured ceilings, as level and instruction set ("" for the highest), whose ratio it is.
RATIOS = {
    "wider": (("registers", "avx512f"), ("registers", "avx2")),
    "l2": (("L2", ""), ("registers", "")),
    "l3": (("L3", ""), ("registers", "")),
}


def labels(found: list[Frames]) -> list[str]:
    """Return what machines are called in a comparison: by name or CPU; where two share one, by their folder, too."""
    called = [HERE if each.results.local else _called(each) for each in found]
    often = Counter(called)
    return [
        name if often[name] == 1 else f"{name}, {each.results.machine}"
        for each, name in zip(found, called, strict=True)
    ]


def _called(frames: Frames) -> str:
    return cpu_label(frames.machine) if len(frames.all("machine")) else frames.results.machine


def in_formats(frames: Frames) -> pd.DataFrame:
    """Return the newest session with several number formats of every machine that has one.

    Returns
    -------
    pandas.DataFrame
        Latency rows without controls, with ``machine``, what each is called.
    """
    rows = []
    for each, name in zip(frames.machines, labels(frames.machines), strict=True):
        point = {"model": frames.model, "pruner": frames.pruner, "sparsity": frames.sparsity, **frames.load}
        timed = where(each.all("formats"), **point)
        if len(timed):
            last = where(timed, session_id=timed["session_id"].iloc[-1])
            rows.append(last[last["control"].isna()].assign(machine=name))
    return pd.concat(rows) if rows else frames.all("formats").iloc[:0].assign(machine="")


def say(frames: Frames, verdict: Verdict) -> str:
    """Return a verdict in words that are true where other machines have a column, too."""
    there = verdict.verdict == NOT_MEASURED and not frames.results.local
    return NOT_MEASURED_THERE if there else verdict.verdict


def documents(found: list[Frames], only: str | None = None) -> list[dict[str, Any]]:
    """Return every verdict of every machine as a JSON object; effect and interval are null where nothing was measured.

    The interval is a 95% interval, ``[low, high]``, in the unit of the effect. With ``only``, one claim by its id.
    """
    return [
        {
            "id": verdict.id,
            "statement": verdict.claim.statement,
            "profile": verdict.claim.profile,
            "command": verdict.claim.command,
            "minutes": verdict.claim.minutes,
            "verdict": say(frames, verdict),
            "effect": verdict.effect and verdict.effect.value,
            "interval": verdict.effect and [verdict.effect.low, verdict.effect.high],
            "unit": verdict.claim.unit,
            "note": verdict.note,
            "machine": name,
            "machine_id": frames.machine_id,
        }
        for frames, name in zip(found, labels(found), strict=True)
        for verdict in _judged(frames, only)
    ]


def _judged(frames: Frames, only: str | None) -> list[Verdict]:
    """Return every verdict, or that on one claim; the others are then not looked at."""
    return [judge(claims()[only], frames)] if only else list(verdicts(frames).values())


def table(found: list[Frames], only: str | None = None) -> Table:
    """Lay out the verdicts for a terminal, a column for each machine; a claim says which command judges it anew."""
    shown = Table("claim", "statement", *labels(found), show_lines=True)
    shown.caption = f"judged anew by {CHECKS['default']}, where no other command is named"
    if only:
        shown.caption = f"judged anew by {claims()[only].command}: about {duration(60 * claims()[only].minutes)}"
    for each in zip(*(_judged(frames, only) for frames in found), strict=True):
        cells = [
            f"{say(frames, v)}\n{v.text}" if v.effect else say(frames, v) for frames, v in zip(found, each, strict=True)
        ]
        claim = each[0].claim
        other = "" if claim.profile == "default" else f" ({claim.command})"
        shown.add_row(claim.id, claim.statement + other, *cells)
    return shown


# Times of block shapes on each machine.


def relative_times(frames: Frames, scope: str = "all") -> dict[str, Interval]:
    """Return block shape -> its time in units of the fastest dense engine timed beside it; empty without one."""
    best = best_dense(frames.beside(scope))
    return {block: frames.gain(record, best) for block, record in _shapes(frames, scope) if best}


def _shapes(frames: Frames, scope: str) -> list[tuple[str, Record]]:
    rows = by_shape(where(frames.beside(scope), engine=OURS, scope=scope))
    return list(zip(rows["block"], rows["record"], strict=True))


def losses(found: list[Frames], scope: str = "all") -> pd.DataFrame:
    """Return the time of each shape in units of the fastest there: a column a machine on which a shape was timed."""
    columns = {}
    for frames, name in zip(found, labels(found), strict=True):
        if shapes := _shapes(frames, scope):
            first = fastest(record for _, record in shapes)
            columns[name] = {
                block: Interval(1, 1, 1) if record is first else frames.gain(record, first) for block, record in shapes
            }
    table = pd.DataFrame(columns, dtype=object)
    return table.loc[sorted(table.index, key=shape_order)]


def worst(losses: pd.DataFrame) -> pd.Series:
    """Return the largest loss of each shape that was timed on every machine."""
    return losses.dropna().apply(lambda row: max(row, key=lambda loss: loss.value), axis=1)


@effect("text")
def travel(frames: Frames, what: str, claim: str = "") -> str:
    """Effect: the ``block`` to prune to where the machine is not known, its ``loss`` where that is largest.

    Or on how many ``machines`` it was timed, and on how many a ``claim`` is ``supported``.
    """
    if what == "supported":
        known = [verdicts(each)[claim].verdict for each in frames.machines]
        known = [verdict for verdict in known if verdict != NOT_MEASURED]
        return f"{known.count(SUPPORTED)} of {len(known)}"
    found = losses(frames.machines)
    if len(found.columns) < 2 or not len(worst(found)):
        raise missing("latency", scope="all", machine="another")
    loss = worst(found)
    block = min(loss.index, key=lambda each: loss[each].value)
    return {"block": block, "loss": times(loss[block]), "machines": str(len(found.columns))}[what]


@effect("text")
def ceiling(frames: Frames, what: str) -> str:
    """Effect: a ratio of two ceilings of the machine: one of `RATIOS`."""
    above, below = (highest(frames, *each) for each in RATIOS[what])
    unit = TIMES if above["unit"] == below["unit"] else ""  # else: bytes for an operation
    return f"{above['rate'] / below['rate']:.2f}{unit}"


def highest(frames: Frames, level: str, isa: str = "") -> Record:
    """Return the highest ceiling of a level with all threads, of one instruction set or of any.

    Raises
    ------
    MissingRecord
        If none was measured.
    """
    rows = where(frames.all("ceiling"), level=level, format="fp32", threads=frames.threads)
    rows = rows.drop_duplicates("isa", keep="last") if len(rows) else rows
    rows = where(rows[rows["rate"].notna()], **({"isa": isa} if isa else {}))
    if not len(rows):
        raise missing("ceiling", level=level, threads=frames.threads)
    return rows.loc[rows["rate"].idxmax(), "record"]


def description(found: list[Frames], scope: str = "all") -> pd.DataFrame:
    """Return what the machines are, as text: a row for each property, a column for each machine."""
    return pd.DataFrame({name: _properties(frames, scope) for frames, name in zip(found, labels(found), strict=True)})


def _properties(frames: Frames, scope: str) -> dict[str, str]:
    of = frames.machine if len(frames.all("machine")) else None
    shapes, timed = relative_times(frames, scope), frames.at("latency")
    best = min(shapes, key=lambda block: shapes[block].value, default=None)
    last = timed.iloc[-1]["record"] if len(timed) else None
    return {
        "processor": of["cpu"] if of else UNKNOWN,
        "class": class_of(frames) if of else UNKNOWN,
        "which this virtual machine hides": (of.get("hides") or "nothing known") if of else UNKNOWN,
        "cores": str(of["cores"]) if of else UNKNOWN,
        "vector instructions": (vectors(of) if of else "") or UNKNOWN,
        **{name: _size(of[size]) if of else UNKNOWN for name, size in CACHES.items()},
        **{name: _rate(frames, level) for name, level in CEILINGS.items()},
        "fastest shape": best or NOT_MEASURED_THERE,
        "its time over that of the best dense engine": times(shapes[best]) if best else "-",
        "measured on": last["started_at"][:10] if last else NOT_MEASURED_THERE,
        "with commit": short_commit(last["commit"]) if last else "-",
        "which is": written_by(last) if last else "-",
    }


def _rate(frames: Frames, level: str) -> str:
    try:
        best = highest(frames, level)
    except MissingRecord:
        return NOT_MEASURED_THERE
    return f"{best['rate']:,.0f} {best['unit']}"


def _size(kib: int) -> str:
    if not kib:
        return UNKNOWN
    return f"{kib} KiB" if kib < 1024 else f"{kib / 1024:.0f} MiB"
