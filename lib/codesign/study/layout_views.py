"""What `layouts` records say: what the layout of activations gives each encoder, and whether tuning records know it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from codesign.measure.ratios import Interval, Ratio, ratio
from codesign.schema import Record
from codesign.study.aside import newest
from codesign.study.evidence import DENSE, Evidence, median_ms, missing
from codesign.study.layouts import ENGINES, KIND
from codesign.study.words import shape_order, times

FEATURE_MAJOR, TOKEN_MAJOR = ENGINES
Sides = dict[str, dict[str, Record]]  # block, or "dense" -> layout -> record


def sides(records: Iterable[Record]) -> Sides:
    """Return the encoders of one session, dense first, each in the layouts that it was compiled for."""
    layouts = {engine: layout for layout, engines in ENGINES.items() for engine in engines}
    found: Sides = {}
    for record in records:
        if record["engine"] in layouts and record["status"] == "ok" and not record["control"]:
            layout = layouts[record["engine"]]
            block = "dense" if record["engine"] == ENGINES[layout][0] else record["block"]
            found.setdefault(block, {})[layout] = record
    return {block: found[block] for block in sorted(found, key=shape_order)}


def of_point(evidence: Evidence) -> Sides:
    """Return the `sides` of the newest session of the operating point that was not flagged.

    Raises
    ------
    MissingRecord
        If there is none.
    """
    load = {name: getattr(evidence, name) for name in ("model", "batch", "seq", "threads")}
    pruned = {"sparsity": evidence.sparsity, "pruner": evidence.pruner}
    found = sides(newest([record for record in evidence.read(KIND, **load, **pruned) if not record["flagged"]]))
    if not any(len(side) > 1 for side in found.values()):
        raise missing(KIND, engine=ENGINES[TOKEN_MAJOR][1], **load)
    return found


def gain(side: dict[str, Record]) -> Ratio:
    """How many times faster the token-major encoder is than the feature-major one."""
    return ratio(side[FEATURE_MAJOR], side[TOKEN_MAJOR])


def recorded_ms(evidence: Evidence, scope: str, block: str) -> dict[str, float]:
    """Return layout -> what tuning records add up to: the best time of each task times its calls, in milliseconds.

    Changes of layout are tasks like any other, so they are counted.
    """
    found = {}
    for layout, (dense, sparse) in ENGINES.items():
        key = (dense, *DENSE) if block == "dense" else (sparse, scope, block)
        tasks = evidence.tasks(*key)
        if tasks and all(task["best_ns"] is not None for task in tasks):
            found[layout] = sum(task["weight"] * task["best_ns"] for task in tasks) / 1e6
    return found


def layout_rows(evidence: Evidence, scope: str) -> list[dict[str, Any]]:
    """Lay the session of a point out: a row an encoder, in ms; ``picked`` is the layout that tuning records choose.

    Without a session there are no rows.
    """
    rows = []
    for block, side in _known(evidence).items():
        row: dict[str, Any] = {"block": block} | {layout: median_ms(record).value for layout, record in side.items()}
        expected = recorded_ms(evidence, scope, block)
        both = len(side) > 1
        picked = min(expected, key=lambda layout: expected[layout]) if len(expected) > 1 else None
        rows.append(row | {"gain": gain(side) if both else None, "expected": expected, "picked": picked})
    return rows


def choice_rows(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lay measured times and those of the kernels side by side, for the encoders that have both layouts."""
    return [
        {"block": row["block"], "gain": times(row["gain"]), "picked": row["picked"]}
        | {f"{layout} measured": row[layout] for layout in ENGINES}
        | {f"{layout} kernels": row["expected"].get(layout, float("nan")) for layout in ENGINES}
        for row in rows
        if row["gain"]
    ]


def _known(evidence: Evidence) -> Sides:
    return of_point(evidence) if evidence.read(KIND, model=evidence.model) else {}


def tall_gain(evidence: Evidence) -> Interval:
    """Effect: what token-major activations give an encoder pruned in 32x1 blocks."""
    side = of_point(evidence).get("32x1", {})
    if len(side) < 2:
        raise missing(KIND, engine=ENGINES[TOKEN_MAJOR][1], block="32x1")
    return gain(side)


def feature_major_lead(evidence: Evidence) -> Interval:
    """Effect: how many times faster the fastest feature-major encoder is than the fastest token-major one."""
    found = [side for block, side in of_point(evidence).items() if block != "dense"]
    fastest = [
        min((side[layout] for side in found if layout in side), key=lambda record: median_ms(record).value)
        for layout in (TOKEN_MAJOR, FEATURE_MAJOR)
    ]
    return ratio(*fastest)


def picked_right(evidence: Evidence) -> Interval:
    """Effect: how many times faster the layout that tuning records choose is than the other, where that is least."""
    gains = []
    for block, side in of_point(evidence).items():
        expected = recorded_ms(evidence, "all", block)
        if len(side) > 1 and len(expected) > 1:
            picked = min(expected, key=lambda layout: expected[layout])
            other = next(layout for layout in side if layout != picked)
            gains.append(ratio(side[other], side[picked]))
    if not gains:
        raise missing("task", engine=ENGINES[TOKEN_MAJOR][1])
    return Interval(*(min(getattr(each, end) for each in gains) for end in ("value", "low", "high")))


#: Claim id -> statement, effect, threshold and unit.
LAYOUT_CLAIMS = (
    ("layout-tall", "Pruned in 32x1 blocks, an encoder is faster with token-major activations than with feature-major "
     "ones (80% of all encoder weights).", tall_gain, 1.0, "ratio"),
    ("layout-fastest", "The fastest encoder of all block shapes has feature-major activations (80% of all encoder "
     "weights).", feature_major_lead, 1.0, "ratio"),
    ("layout-picked", "The layout in which the tuning records of an encoder's kernels add up to less is the faster "
     "one, for every shape that has both.", picked_right, 1.0, "ratio"),
)  # fmt: skip
