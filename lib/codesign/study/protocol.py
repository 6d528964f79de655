"""Does it matter how engines take turns? One call each in turn, and turns with discarded calls, against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from codesign.measure import PROTOCOLS, Ratio, median, ratio
from codesign.measure.naive import WAYS, compare_ways
from codesign.records import Record
from codesign.study.chain import Study
from codesign.study.points import Case
from codesign.study.timed import contender

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


def ratios(records: Sequence[Record]) -> dict[str, Ratio]:
    """Say in each way how many times faster b is than a; the ratio of ``alone`` is the true one."""
    by_way = _by_way(records)
    return {way: ratio(a, b) for way, (a, b) in by_way.items()}


def distortions(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Say for each engine its median alone, in ms, and how many times that it took in the other ways."""
    by_way = _by_way(records)
    rows = []
    for index, alone in enumerate(by_way["alone"]):
        truth = median(alone).value
        others = {way: median(by_way[way][index]).value / truth for way in WAYS if way != "alone"}
        rows.append({"engine": alone["engine"], "scope": alone["scope"], "block": alone["block"]} | others)
        rows[-1]["alone_ms"] = truth / 1e6
    return rows


def _by_way(records: Sequence[Record]) -> dict[str, list[Record]]:
    return {way: [record for record in records if record["way"] == way] for way in WAYS}


def _all(pair: Pair) -> list[dict[str, Any]]:
    return [{**case.fields(), "way": way} for way, case in product(WAYS, pair)]


def _session_id(study: Study, pair: Pair) -> str | None:
    """Return the newest session that has the pair in every way."""
    held = [[record["session_id"] for record in study.found("protocol", fields)] for fields in _all(pair)]
    return next((name for name in reversed(held[0]) if all(name in names for names in held)), None)
