"""Does it matter how engines take turns? One call each in turn, and turns with discarded calls, against the truth."""

from __future__ import annotations

from itertools import product
from typing import Any

from codesign.measure import PROTOCOLS
from codesign.measure.naive import WAYS, compare_ways
from codesign.records import Record
from codesign.study.chain import Study
from codesign.study.points import Case
from codesign.study.timed import contender
from codesign.study.ways import distortions, ratios

__all__ = ["Pair", "distortions", "ensure_compared", "ratios"]

#: Two engines, each of which disturbs the other.
Pair = tuple[Case, Case]


def ensure_compared(study: Study, pair: Pair) -> list[Record]:
    """Time a pair in every way, unless that was done; return its `protocol` records: alone, naive, turns; a, b in each.

    Raises
    ------
    MissingRecord
        If an artefact or, reading committed results, a record is missing.
    EngineError
        If one of the two cannot be timed here.
    """
    if study.local and _session_id(study, pair) is None:
        compare_ways(
            [contender(study, case) for case in pair],
            protocol=PROTOCOLS[study.protocol],
            results=study.results,
            profile=study.profile,
            run_id=study.run_id,
        )
    session = _session_id(study, pair)
    return [study.newest("protocol", fields | {"session_id": session} if session else fields) for fields in _all(pair)]


def _all(pair: Pair) -> list[dict[str, Any]]:
    return [{**case.fields(), "way": way} for way, case in product(WAYS, pair)]


def _session_id(study: Study, pair: Pair) -> str | None:
    """Return the newest session that has the pair in every way."""
    held = [[record["session_id"] for record in study.found("protocol", fields)] for fields in _all(pair)]
    return next((name for name in reversed(held[0]) if all(name in names for names in held)), None)
