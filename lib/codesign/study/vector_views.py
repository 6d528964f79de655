"""What `vectors` records say: what wider vectors give each encoder, and whether they change the fastest shape."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from codesign.answers.words import shape_order
from codesign.isa import NATIVE
from codesign.measure.ratios import Interval, ratio
from codesign.schema import Record
from codesign.study.doubts import trusted
from codesign.study.evidence import OURS, Evidence, median_ms, missing
from codesign.study.ways import newest

Side = dict[str, Record]  # block, or "dense" -> record of our engine

NARROW = "avx2"


def sides(records: Iterable[Record]) -> dict[str, Side]:
    """Return instruction set -> our encoders in one session, dense first."""
    found: dict[str, Side] = {}
    for record in records:
        if record["engine"].startswith("tvm-") and record["status"] == "ok" and not record["control"]:
            block = record["block"] if record["engine"] == OURS else "dense"
            found.setdefault(record["isa"], {})[block] = record
    return {isa: {block: side[block] for block in sorted(side, key=shape_order)} for isa, side in found.items()}


def of_point(evidence: Evidence) -> dict[str, Side]:
    """Return the `sides` of the newest session of the operating point, with the machine's own vectors and others.

    A record in doubt decides nothing, so it does not count.

    Raises
    ------
    MissingRecord
        If there is none.
    """
    load = {name: getattr(evidence, name) for name in ("model", "batch", "seq", "threads")}
    pruned = {"sparsity": evidence.sparsity, "pruner": evidence.pruner}
    found = sides(newest(trusted(evidence.read("vectors", **load, **pruned))))
    for isa in (NATIVE, NARROW):
        if "dense" not in found.get(isa, {}):
            raise missing("vectors", isa=isa, **load)
    return found


def gain(found: dict[str, Side], block: str) -> Interval:
    """How many times faster an encoder is with the machine's own vectors than with narrow ones."""
    if block not in found[NARROW] or block not in found[NATIVE]:
        raise missing("vectors", isa=NARROW, block=block)
    return ratio(found[NARROW][block], found[NATIVE][block])


def vector_rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Lay out a session: a row an encoder, with its median for each instruction set, in ms, and the gain."""
    found = sides(records)
    if not {NATIVE, NARROW} <= found.keys():
        return []
    return [
        {"block": block, "gain": gain(found, block)}
        | {isa: median_ms(found[isa][block]).value for isa in (NATIVE, NARROW)}
        for block in found[NATIVE]
        if block in found[NARROW]
    ]


def least_gain(evidence: Evidence) -> Interval:
    """Effect: what wider vectors give the encoder that gains least, dense or in whichever shape."""
    found = of_point(evidence)
    gains = [gain(found, block) for block in found[NATIVE]]
    return Interval(*(min(getattr(each, end) for each in gains) for end in ("value", "low", "high")))


def same_shape(evidence: Evidence) -> Interval:
    """Effect: with narrow vectors, the lead over the closest other shape of the one that wins with wide vectors.

    The one side of the session chooses, the other tells.
    """
    found = of_point(evidence)
    shapes = {isa: {b: r for b, r in side.items() if b != "dense"} for isa, side in found.items()}
    best = min(shapes[NATIVE], key=lambda block: median_ms(shapes[NATIVE][block]).value)
    leads = [ratio(r, shapes[NARROW][best]) for block, r in shapes[NARROW].items() if block != best]
    if not leads:
        raise missing("vectors", isa=NARROW, block=f"not {best}")
    return Interval(*(min(getattr(lead, end) for lead in leads) for end in ("value", "low", "high")))
