"""What `layouts` records say: what each way to lay an encoder out gives it, and whether tuning records know it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from codesign.answers.words import shape_order, times
from codesign.blocks import BlockShape
from codesign.measure.ratios import Interval, Ratio, ratio
from codesign.schema import Record
from codesign.study.comparisons import LAYOUTS, STRIPS, TOKEN_MAJOR, WHOLE
from codesign.study.doubts import trusted
from codesign.study.evidence import DENSE, Evidence, median_ms, missing, newest_session

Sides = dict[str, dict[str, Record]]  # block, or "dense" -> way -> record
#: How far the times of two shapes may be apart to be alike, as a ratio.
ALIKE = 0.95


def sides(records: Iterable[Record]) -> Sides:
    """Return the encoders of one session, dense first, each in the ways that it was compiled."""
    ways = {engine: way for way, engines in LAYOUTS.items() for engine in engines}
    found: Sides = {}
    for record in records:
        if record["engine"] in ways and record["status"] == "ok" and not record["control"]:
            way = ways[record["engine"]]
            block = "dense" if record["engine"] == LAYOUTS[way][0] else record["block"]
            found.setdefault(block, {})[way] = record
    return {block: found[block] for block in sorted(found, key=shape_order)}


def of_point(evidence: Evidence) -> Sides:
    """Return the `sides` of the newest session of the operating point, without those in doubt.

    Raises
    ------
    MissingRecord
        If there is none.
    """
    load = {name: getattr(evidence, name) for name in ("model", "batch", "seq", "threads")}
    pruned = {"sparsity": evidence.sparsity, "pruner": evidence.pruner}
    found = sides(newest_session(trusted(evidence.read("layouts", **load, **pruned))))
    if not found:
        raise missing("layouts", engine=LAYOUTS[WHOLE][1], **load)
    return found


def recorded_ms(evidence: Evidence, scope: str, block: str) -> dict[str, float]:
    """Return way -> what tuning records add up to: the best time of each task times its calls, in milliseconds.

    Changes of layout are tasks like any other, so they are counted.
    """
    found = {}
    for way, (dense, sparse) in LAYOUTS.items():
        key = (dense, *DENSE) if block == "dense" else (sparse, scope, block)
        tasks = evidence.tasks(*key)
        if tasks and all(task["best_ns"] is not None for task in tasks):
            found[way] = sum(task["weight"] * task["best_ns"] for task in tasks) / 1e6
    return found


def layout_rows(records: Iterable[Record], evidence: Evidence, scope: str) -> list[dict[str, Any]]:
    """Lay a session out, a row an encoder.

    A row holds milliseconds by way; ``gains``, what strips give over whole blocks and token-major activations over
    strips; the milliseconds that tuning records make ``expected``, and ``picked``, the way in which these are least.
    """
    rows = []
    for block, side in sides(records).items():
        expected = {way: ms for way, ms in recorded_ms(evidence, scope, block).items() if way in side}
        pairs = ((STRIPS, WHOLE), (TOKEN_MAJOR, STRIPS))
        gains = {way: ratio(side[than], side[way]) for way, than in pairs if {way, than} <= side.keys()}
        picked = min(expected, key=lambda way: expected[way]) if len(expected) > 1 else None
        row: dict[str, Any] = {way: median_ms(record).value for way, record in side.items()}
        rows.append(row | {"block": block, "gains": gains, "expected": expected, "picked": picked})
    return rows


def choice_rows(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lay measured times and those of the kernels side by side as text, for the encoders that have several ways."""
    found = []
    for row in (row for row in rows if row["gains"]):
        cells = {way: f"{row[way]:.1f} ({row['expected'].get(way, float('nan')):.1f})" for way in LAYOUTS if way in row}
        gains = {f"gain {way}": times(gain) for way, gain in row["gains"].items()}
        empty = dict.fromkeys(LAYOUTS, "") | {f"gain {way}": "" for way in LAYOUTS}
        found.append(empty | cells | gains | {"block": row["block"], "picked": row["picked"]})
    return found


def least_gain(evidence: Evidence) -> Interval:
    """Effect: what strips give the pruned encoder that gains least."""
    found = [side for block, side in of_point(evidence).items() if block != "dense" and WHOLE in side]
    if not found:
        raise missing("layouts", engine=LAYOUTS[WHOLE][1])
    return _least(ratio(side[WHOLE], side[STRIPS]) for side in found)


def tall_as_low(evidence: Evidence) -> Interval:
    """Effect: time of 4x1 over that of the tallest shape in strips, or its inverse if that is smaller."""
    found = of_point(evidence)
    tall = [block for block, side in found.items() if WHOLE in side and block != "dense"]
    if not tall or "4x1" not in found:
        raise missing("layouts", engine=LAYOUTS[STRIPS][1], block="4x1")
    tallest = max(tall, key=lambda block: (BlockShape.parse(block).rows, -BlockShape.parse(block).cols))
    seen = ratio(found["4x1"][STRIPS], found[tallest][STRIPS])
    ends = [min(end, 1 / end) for end in (seen.low, seen.high)]
    return Interval(min(seen.value, 1 / seen.value), min(ends), 1.0 if seen.covers(1.0) else max(ends))


def feature_major_lead(evidence: Evidence) -> Interval:
    """Effect: how many times faster the fastest feature-major encoder is than the fastest token-major one."""
    found = [side for block, side in of_point(evidence).items() if block != "dense"]
    token_major = [side[TOKEN_MAJOR] for side in found if TOKEN_MAJOR in side]
    others = [side[way] for side in found for way in (WHOLE, STRIPS) if way in side]
    if not token_major or not others:
        raise missing("layouts", engine=LAYOUTS[TOKEN_MAJOR][1])
    return ratio(_fastest(token_major), _fastest(others))


def picked_right(evidence: Evidence) -> Interval:
    """Effect: how many times faster the way that tuning records choose is than the best other, where that is least."""
    gains: list[Ratio] = []
    for block, side in of_point(evidence).items():
        expected = {way: ms for way, ms in recorded_ms(evidence, "all", block).items() if way in side}
        if len(expected) > 1:
            picked = min(expected, key=lambda way: expected[way])
            others = [side[way] for way in side if way != picked]
            gains.append(ratio(_fastest(others), side[picked]))
    if not gains:
        raise missing("task", engine=LAYOUTS[WHOLE][1])
    return _least(gains)


def _fastest(records: list[Record]) -> Record:
    return min(records, key=_ms)


def _ms(record: Record) -> float:
    return median_ms(record).value


def _least(effects: Iterable[Interval]) -> Interval:
    """Return the smallest effect, end by end: what holds for it holds for all."""
    each = list(effects)
    return Interval(*(min(getattr(effect, end) for effect in each) for end in ("value", "low", "high")))


#: Claim id -> statement, effect, threshold and unit.
LAYOUT_CLAIMS = (
    ("strips", "Stored in strips of 4 rows, every shape with taller blocks is faster than stored in whole blocks (80% "
     "of all encoder weights).", least_gain, 1.0, "ratio"),
    ("strips-alike", "Stored in strips, the tallest shape takes the same time as 4x1, within 5% (80% of all encoder "
     "weights).", tall_as_low, ALIKE, "ratio"),
    ("feature-major", "The fastest encoder has feature-major activations and not token-major ones (80% of all encoder "
     "weights).", feature_major_lead, 1.0, "ratio"),
    ("layout-picked", "The way to lay an encoder out in which the tuning records of its kernels add up to least is the "
     "fastest, for every shape that has several.", picked_right, 1.0, "ratio"),
)  # fmt: skip
