"""What `listing` records say: what bounds an inner loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from codesign.schema import Record
from codesign.study.roofline import FMA_LATENCY, FMA_PORTS, LOAD_PORTS

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
