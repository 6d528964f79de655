"""Claims and rows about where the time of an inference goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from codesign.measure.ratios import Interval
from codesign.schema import LINEARS, Record
from codesign.study.evidence import OURS, Evidence, Key, missing, newest_profiles
from codesign.study.profiles import by_kind

BLOCKS = ("4x1", "32x1", "1x1")

Part = Callable[[dict[str, float]], float]


def together(times: dict[str, float]) -> float:
    """Nanoseconds outside the linears, all kinds of kernels together."""
    return sum(ns for kind, ns in times.items() if kind not in LINEARS)


def largest(times: dict[str, float]) -> float:
    """Nanoseconds of the kind of kernel outside the linears that takes most."""
    return max((ns for kind, ns in times.items() if kind not in LINEARS), default=0.0)


def inside(part: Part) -> Callable[[Evidence], Interval]:
    """Effect: share of the time in kernels that ``part`` leaves, where that is least; all weights pruned."""

    def effect(evidence: Evidence) -> Interval:
        profiles = evidence.profiles()
        found = []
        for block in BLOCKS:
            key: Key = (OURS, "all", block)
            if key not in profiles:
                raise missing("profile", engine=OURS, scope="all", block=block)
            found.append(_left(profiles[key], part))
        return Interval(*(min(getattr(each, end) for each in found) for end in ("value", "low", "high")))

    return effect


def _left(records: list[Record], part: Part) -> Interval:
    """Return the share that is left, with its range over the middle half of the inferences."""
    runs = min(len(record["samples_ns"]) for record in records)
    each = sorted(_share([r | {"median_ns": r["samples_ns"][run]} for r in records], part) for run in range(runs))
    value = _share(records, part)
    return Interval(value, min(value, each[runs // 4]), max(value, each[-1 - runs // 4]))


def _share(records: list[Record], part: Part) -> float:
    times = by_kind(records)
    return 1 - part(times) / sum(times.values())


def kind_rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Lay out profiles: a row an encoder and kind of kernel, with calls, milliseconds and share."""
    rows: list[dict[str, Any]] = []
    for (_, scope, block), found in newest_profiles(records).items():
        total = sum(by_kind(found).values())
        for kind, ns in sorted(by_kind(found).items(), key=lambda item: -item[1]):
            calls = sum(record["calls"] for record in found if record["function_kind"] == kind)
            row = {"scope": scope, "block": block, "kind": kind, "calls": calls}
            rows.append(row | {"ms": ns / 1e6, "share": ns / total})
    return rows
