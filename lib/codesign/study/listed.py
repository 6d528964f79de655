"""What `listing` and `neighbour` records say: what bounds an inner loop, and what another decision would have cost."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from codesign.measure.ratios import Interval, ratio
from codesign.schema import Record
from codesign.study.neighbours import CONTROL, FAMILY, NOTHING, STORAGE
from codesign.study.roofline import FMA_LATENCY, FMA_PORTS, LOAD_PORTS
from codesign.study.screening import STATES, State
from codesign.study.words import times

#: What may bound a loop, in words.
BOUNDS = {"fma": "FMA ports", "reads": "load ports", "chain": "FMA latency"}

#: The decisions that make the register tile of a family.
_TILE = ("rows", "tokens", "vectors")


def cycles(counts: Mapping[str, int]) -> dict[str, float]:
    """Return the least cycles of one pass of a loop, for each of `BOUNDS`.

    Two multiply-adds and two loads a cycle, and four cycles before a sum can go on: what
    `codesign.study.roofline` assumes of a step, applied to the instructions that are really there.
    """
    return {
        "fma": counts["fma"] / FMA_PORTS,
        "reads": counts["reads"] / LOAD_PORTS,
        "chain": float(counts["chain"] * FMA_LATENCY),
    }


def bound(counts: Mapping[str, int]) -> str:
    """Return what takes a loop longest, in words; the first of several that take equally long."""
    found = cycles(counts)
    return BOUNDS[max(found, key=lambda name: found[name])]


def most(counts: Mapping[str, int]) -> float:
    """Return the largest share of the multiply-add peak that a loop can reach."""
    return cycles(counts)["fma"] / max(cycles(counts).values())


def loop_rows(listings: Iterable[Record]) -> list[dict[str, Any]]:
    """Lay out inner loops: a row a block shape, with counts, ``cycles`` by bound, ``bound`` and ``most``."""
    return [
        {
            **listing["counts"],
            "block": listing["block"],
            "tile": ", ".join(f"{n} {v}" for n, v in listing["decisions"].items() if n in _TILE),
            "bytes": listing["loop_bytes"],
            "bound": bound(listing["counts"]),
            "most": most(listing["counts"]),
            "cycles": cycles(listing["counts"]),
        }
        for listing in listings
    ]


def against_chosen(records: Sequence[Record], state: State) -> dict[str, Interval]:
    """Return what every neighbour of one session takes, over what the chosen schedule takes, by `label`.

    Intervals are those of a bootstrap over rounds, wider by how far the chosen schedule and its twin lie apart.
    """
    chosen, control = (next(r for r in records if r["changed"] == name) for name in (NOTHING, CONTROL))
    if "failed" in (chosen["status"], control["status"]):
        return {}
    apart = statistics.median(control[f"{state}_ns"]) / statistics.median(chosen[f"{state}_ns"])
    spread = max(apart, 1 / apart)
    base = _timed(chosen, state, spread)
    timed = [record for record in records if record["changed"] != NOTHING and record["status"] == "ok"]
    return {label(record, chosen): ratio(_timed(record, state, spread), base) for record in timed}


def _timed(record: Record, state: State, spread: float) -> dict[str, Any]:
    """Return the fields of a latency record, which is what ratios are made of."""
    samples = record[f"{state}_ns"]
    common = {"machine_id": record["machine_id"], "session_id": record["session_id"], "process_spread": spread}
    return {**common, "engine": record["family"], "samples_ns": samples, "rounds": [1] * len(samples)}


def label(record: Record, chosen: Record) -> str:
    """Say what a neighbour changes, as in ``"rows 8 → 16, refused"``."""
    changed = record["changed"]
    if changed == NOTHING:
        return "as chosen"
    if changed == CONTROL:
        return "as chosen, again"
    if changed == FAMILY:
        return f"{chosen['family']} → {record['family']}"
    if changed == STORAGE:
        return "strips → whole blocks"
    said = f"{changed} {chosen['decisions'][changed]} → {record['decisions'][changed]}"
    if record.get("strip") != chosen.get("strip"):
        said += ", whole blocks"
    return f"{said}, refused" if record["refused"] else said


def neighbour_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Lay out one session: a row a neighbour, the chosen schedule first, with its loop and its times as text."""
    chosen = records[0]
    relative = {state: against_chosen(records, state) for state in STATES}
    rows = []
    for record in records:
        name, counts = label(record, chosen), record["counts"]
        alone = record["reason"] or ("1" if record is chosen else "-")
        rows.append(
            {
                **counts,
                "block": record["block"],
                "change": name,
                "per_load": counts["fma"] / max(counts["reads"], 1),
                "bound": bound(counts),
                "most": most(counts),
                "reached": _reached(record),
                **{state: times(found[name]) if name in found else alone for state, found in relative.items()},
            }
        )
    return rows


def _reached(record: Record) -> str:
    """Share of the peak that a kernel reached hot, the median of its rounds."""
    if record["status"] != "ok":
        return "-"
    sizes = record["operator"]
    flops = 2 * sizes["tokens"] * sizes["nnz"] * sizes["rows"] * sizes["cols"]
    rounds = zip(record["hot_ns"], record["peak_gflops"], strict=True)
    return f"{statistics.median(flops / ns / peak for ns, peak in rounds):.0%}"
