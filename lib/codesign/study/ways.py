"""What `protocol` records say: how far each way of taking turns is from the truth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from codesign.measure import Ratio, median, ratio
from codesign.measure.naive import WAYS
from codesign.schema import Record

#: Each way in words.
WAY_LABELS = {"alone": "alone", "naive": "one call each in turn", "turns": "our turns"}


def ratios(records: Sequence[Record]) -> dict[str, Ratio]:
    """Say in each way how many times faster b is than a; the ratio of ``alone`` is the true one."""
    return {way: ratio(a, b) for way, (a, b) in by_way(records).items()}


def distortions(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Say for each engine its median alone, in ms, and how many times that it took in the other ways."""
    timed = by_way(records)
    rows: list[dict[str, Any]] = []
    for index, alone in enumerate(timed["alone"]):
        truth = median(alone).value
        others = {way: median(timed[way][index]).value / truth for way in WAYS if way != "alone"}
        rows.append({"engine": alone["engine"], "scope": alone["scope"], "block": alone["block"]} | others)
        rows[-1]["alone_ms"] = truth / 1e6
    return rows


def by_way(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Group the records of one comparison."""
    return {way: [record for record in records if record["way"] == way] for way in WAYS}


def newest(records: Iterable[Record]) -> list[Record]:
    """Return the records of the newest comparison; none where there is none."""
    records = list(records)
    return [record for record in records if record["session_id"] == records[-1]["session_id"]]
