"""What `profile` records say: how the time in kernels is divided."""

from __future__ import annotations

from collections.abc import Iterable

from codesign.schema import LINEARS, WHOLE, Record


def by_kind(records: Iterable[Record]) -> dict[str, float]:
    """Nanoseconds an inference spends in each kind of kernel, from the records of one profile."""
    found: dict[str, float] = {}
    for record in records:
        if record["function_kind"] != WHOLE:
            found[record["function_kind"]] = found.get(record["function_kind"], 0.0) + record["median_ns"]
    return found


def outside_linears(records: Iterable[Record]) -> float:
    """Share of the time in kernels that is spent outside the linears, from the records of one profile."""
    found = by_kind(records)
    return sum(ns for kind, ns in found.items() if kind not in LINEARS) / sum(found.values())
