"""What each machine of a comparison is, and how its times lie to each other: nothing here is in milliseconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from codesign.answers.words import TIMES, shape_order, times, vectors
from codesign.engines import ENGINES, SPARSE
from codesign.measure.ratios import Interval
from codesign.schema import Record
from codesign.study.ceilings import newest_ceilings
from codesign.study.evidence import OURS, Evidence, beside, median_ms
from codesign.study.machines import NOT_MEASURED_THERE, Machine
from codesign.study.numbers import effect_text, short_commit, written_by

#: Row heading -> level of the ceilings that it shows, in float32 and with all threads.
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

UNKNOWN = "unknown"

Row = tuple[str, list[str]]


def relative_times(evidence: Evidence, scope: str) -> dict[str, Interval]:
    """Return block shape -> its time in units of the best dense float32 engine of the machine.

    The engine is the fastest that was timed beside the shapes of ``scope``. Empty where there is none, or no shape.
    """
    timed = beside(evidence.records("latency"), scope)
    dense = [r for r in timed.values() if r["engine"] not in SPARSE and ENGINES[r["engine"]].format == "fp32"]
    if not dense:
        return {}
    fastest = min(dense, key=lambda record: median_ms(record).value)
    shapes = {block: record for (engine, where, block), record in timed.items() if (engine, where) == (OURS, scope)}
    return {block: evidence.gain(shapes[block], fastest) for block in sorted(shapes, key=shape_order)}


def description(found: list[Machine], scope: str = "all") -> list[Row]:
    """Return what the machines are, a row for each property with a text for each machine."""
    columns = [_properties(machine, scope) for machine in found]
    return [(name, [column[name] for column in columns]) for name in columns[0]]


def _properties(machine: Machine, scope: str) -> dict[str, str]:
    of = machine.description
    return {
        "processor": of["cpu"] if of else UNKNOWN,
        "cores": str(of["cores"]) if of else UNKNOWN,
        "vector instructions": (vectors(of) if of else "") or UNKNOWN,
        **{name: _size(of[field]) if of else UNKNOWN for name, field in CACHES.items()},
        **_measured(machine.evidence, scope),
    }


def _measured(evidence: Evidence, scope: str) -> dict[str, str]:
    times_ = relative_times(evidence, scope)
    best = min(times_, key=lambda block: times_[block].value, default=None)
    timed = evidence.records("latency")
    return {
        **{name: _ceiling(evidence, level) for name, level in CEILINGS.items()},
        "fastest shape": NOT_MEASURED_THERE if best is None else best,
        "its time over that of the best dense engine": "-" if best is None else times(times_[best]),
        "measured on": timed[-1]["started_at"][:10] if timed else NOT_MEASURED_THERE,
        "with commit": short_commit(timed[-1]["commit"]) if timed else "-",
        "which is": written_by(timed[-1]) if timed else "-",
    }


def machine_numbers(found: Sequence[Machine]) -> Iterator[tuple[str, str]]:
    """Yield what makes machines differ, as key and text: ratios of their ceilings, and claims of all but the first.

    The keys of another machine than the first begin with the name of its folder: ``zen4-avx512.claim.lanes.effect``.
    """
    for place, machine in enumerate(found):
        prefix = f"{machine.evidence.results.machine}." if place else ""
        for name, (over, under) in RATIOS.items():
            above, below = (_highest(machine.evidence, *each) for each in (over, under))
            if above is not None and below is not None:
                unit = TIMES if above["unit"] == below["unit"] else ""  # else: bytes for an operation
                yield f"{prefix}ceiling.{name}", f"{above['rate'] / below['rate']:.2f}{unit}"
        if place:
            for verdict in machine.verdicts:
                yield f"{prefix}claim.{verdict.id}.verdict", machine.say(verdict)
                if verdict.effect is not None:
                    yield f"{prefix}claim.{verdict.id}.effect", effect_text(verdict)


def _ceiling(evidence: Evidence, level: str) -> str:
    best = _highest(evidence, level)
    return NOT_MEASURED_THERE if best is None else f"{best['rate']:,.0f} {best['unit']}"


def _highest(evidence: Evidence, level: str, isa: str = "") -> Record | None:
    """Return the highest ceiling of a level with all threads, of one instruction set or of any."""
    known = [
        record
        for record in newest_ceilings(evidence.read("ceiling"))
        if (record["level"], record["format"], record["threads"]) == (level, "fp32", evidence.threads)
        and record["rate"] is not None
        and isa in ("", record["isa"])
    ]
    return max(known, key=lambda record: float(record["rate"]), default=None)


def _size(kib: int) -> str:
    if not kib:
        return UNKNOWN
    return f"{kib} KiB" if kib < 1024 else f"{kib / 1024:.0f} MiB"
