"""Which points of a kernel's schedule space get a second, longer look."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from codesign.schema import Record

#: Whether a kernel finds its weights in a cache, from the call before, or not.
State = Literal["hot", "cold"]
STATES: tuple[State, State] = ("hot", "cold")


def point_key(point: Mapping[str, Any]) -> str:
    """Return the family and decisions of a record or a candidate as text, to compare points with."""
    return json.dumps([point["family"], point["decisions"]], sort_keys=True)


def finalists(screened: Iterable[Record], count: int) -> list[Record]:
    """Return the screened records whose points deserve a longer look: of each family the best hot and the best cold."""
    good = [record for record in screened if record["status"] == "ok"]
    found: dict[str, Record] = {}
    for family in dict.fromkeys(record["family"] for record in good):
        mine = [record for record in good if record["family"] == family]
        for state in STATES:
            for record in sorted(mine, key=lambda record: statistics.median(record[f"{state}_ns"]))[:count]:
                found.setdefault(point_key(record), record)
    return list(found.values())
