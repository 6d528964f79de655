"""What each decision changed: the schedules that differ from the chosen one in a single decision, beside it.

They take turns, in an order drawn anew for each round, and each round begins with the peak of the processor. The chosen
schedule takes part twice, built twice (the control): how far its two times lie apart is what a difference must exceed.
Where that is more than a tenth, the session is repeated, and flagged if that does not help.
A family refuses tiles that do not fit the registers; here they are built all the same, to see what it refused.
A tile taller than a strip takes whole blocks, so where the layer is in strips, it is timed in whole blocks as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from codesign import machine
from codesign.compiler import TargetSpec, target_spec
from codesign.compiler.kernel_trial import Bench, Candidate, Timing
from codesign.compiler.operators import Linear
from codesign.compiler.schedules import Decisions, find_family
from codesign.records import Record, new_run_id
from codesign.schema import NATIVE, POINT
from codesign.study.chain import Study, track
from codesign.study.listing import compiled, loop_of, operator_in, scheduled
from codesign.study.screening import STATES

#: What differs, for the chosen schedule and for its twin; for the same over whole blocks; for the best other family.
NOTHING, CONTROL, STORAGE, FAMILY = "nothing", "control", "storage", "family"

#: Profile -> rounds, and the least seconds of one sample.
ROUNDS = {"smoke": (4, 1e-3), "verify": (16, 4e-3), "report": (24, 4e-3), "paper": (64, 6e-3)}
#: Sessions at most, and how far the chosen schedule and its twin may lie apart.
_ATTEMPTS, _APART = 3, 0.10
#: More vector registers than any processor has.
_ROOMY = 1 << 10


@dataclass(frozen=True)
class Neighbour:
    """A schedule and what it runs on, the decision in which it differs, whether its family has too few registers."""

    operator: Linear
    changed: str
    family: str
    decisions: Decisions
    refused: bool = False


def ensure_neighbours(study: Study, listings: Sequence[Record]) -> list[Record]:
    """Time the neighbours of every listed layer that still needs it; return the `neighbour` records of all.

    Parameters
    ----------
    listings
        `listing` records that share a target and a seed.

    Raises
    ------
    MissingRecord
        Reading committed results, if they lack a layer.
    """
    todo = [listing for listing in listings if study.local and not study.found("neighbour", _chosen(listing))]
    if todo:
        spec = target_spec(todo[0]["threads"])
        with machine.exclusive("timing kernels"), Bench(spec, todo[0]["seed"]) as bench:
            for listing, _ in zip(todo, track([each["block"] for each in todo], "neighbours of"), strict=True):
                _measure(study, listing, spec, bench)
    return [record for listing in listings for record in neighbours_of(study, listing)]


def neighbours_of(study: Study, listing: Record) -> list[Record]:
    """Return the newest session of a layer, the chosen schedule and its twin first.

    Raises
    ------
    MissingRecord
        If there is none.
    """
    newest = study.newest("neighbour", _chosen(listing))
    return study.found("neighbour", _key(listing) | {"session_id": newest["session_id"]})[::-1]


def neighbours(operator: Linear, spec: TargetSpec, family: str, decisions: Decisions) -> list[Neighbour]:
    """Return the schedules of a family that differ from one in a single decision, decision by decision.

    Those that only the number of registers rules out are among them; then, of a layer in strips, the same schedule over
    whole blocks, and tiles that need these.
    """
    offered, roomy = find_family(family), replace(spec, registers=_ROOMY)
    found = []
    for stored in dict.fromkeys((operator, replace(operator, strip=operator.rows))):
        fitting = offered.points(stored, spec)
        for point in offered.points(stored, roomy):
            changed = [name for name in decisions if point[name] != decisions[name]]
            if stored == operator and len(changed) == 1:
                found.append(Neighbour(stored, changed[0], family, point, point not in fitting))
            if stored != operator and not changed:
                found.append(Neighbour(stored, STORAGE, family, point))
            if stored != operator and changed == ["rows"] and point["rows"] > operator.strip:
                found.append(Neighbour(stored, "rows", family, point, point not in fitting))
    order = [*decisions, STORAGE]
    return sorted(found, key=lambda each: (order.index(each.changed), each.decisions.get(each.changed, 0)))


def _key(listing: Record) -> dict[str, Any]:
    return {name: listing[name] for name in (*POINT, "isa", "operator")}


def _chosen(listing: Record) -> dict[str, Any]:
    """What finds the chosen schedule of a layer: it is written last, so that a session without it is not whole."""
    return _key(listing) | {"changed": NOTHING} | {name: listing[name] for name in ("family", "decisions")}


def _measure(study: Study, listing: Record, spec: TargetSpec, bench: Bench) -> None:
    operator = operator_in(listing)
    family, decisions = listing["family"], listing["decisions"]
    others = [each for each in listing["tuned"] if each["family"] != family]
    chosen = [Neighbour(operator, changed, family, decisions) for changed in (NOTHING, CONTROL)]
    elsewhere = [Neighbour(operator, FAMILY, each["family"], each["decisions"]) for each in others[:1]]
    wanted = [*chosen, *neighbours(operator, spec, family, decisions), *elsewhere]
    libraries = bench.build([Candidate(each.operator, each.family, each.decisions) for each in wanted])
    for _ in range(_ATTEMPTS):
        outcomes = _rounds(bench, libraries, *ROUNDS[study.protocol])
        if agreed := alike(*outcomes[:2]):
            break
    session = {"session_id": new_run_id(), "flagged": not agreed}
    for each, outcome in reversed(list(zip(wanted, outcomes, strict=True))):
        what = {"target": spec.key, "family": each.family, "decisions": each.decisions, "strip": each.operator.strip}
        why = {"changed": each.changed, "refused": each.refused}
        code = loop_of(compiled(scheduled(each.operator, spec, each.family, each.decisions), spec))
        study.append("neighbour", _key(listing), {"isa": NATIVE}, what, why, session, code, outcome)


def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two timings of one schedule agree, hot and cold; one that failed agrees with nothing."""
    if "failed" in (one["status"], other["status"]):
        return False
    ratios = [np.median(one[f"{state}_ns"]) / np.median(other[f"{state}_ns"]) for state in STATES]
    return all(1 / (1 + _APART) <= ratio <= 1 + _APART for ratio in ratios)


def _rounds(bench: Bench, libraries: Sequence[Path | str], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Time libraries in turns; return the timing fields of a record of each. What fails once is out."""
    left, rng = list(libraries), np.random.default_rng(0)
    timings: list[list[Timing]] = [[] for _ in left]
    peaks: list[list[float]] = [[] for _ in left]
    for _ in range(rounds):
        peak = bench.peak()
        for at in rng.permutation(len(left)):
            library = left[at]
            timing = bench.time(library, 1, seconds) if isinstance(library, Path) else library
            if isinstance(timing, str) or isinstance(peak, str):
                left[at] = timing if isinstance(timing, str) else str(peak)
            else:
                timings[at].append(timing)
                peaks[at].append(peak)
    return [_fields(*each) for each in zip(left, timings, peaks, strict=True)]


def _fields(library: Path | str, timings: Sequence[Timing], peaks: Sequence[float]) -> dict[str, Any]:
    if isinstance(library, str):
        samples: dict[str, Any] = {"hot_ns": [], "cold_ns": [], "peak_gflops": [], "rotated_bytes": 0}
        return samples | {"status": "failed", "reason": library, "max_abs_err": None}
    return {
        "status": "ok",
        "reason": None,
        "hot_ns": [ns for timing in timings for ns in timing.hot_ns],
        "cold_ns": [ns for timing in timings for ns in timing.cold_ns],
        "peak_gflops": list(peaks),
        "rotated_bytes": timings[0].rotated_bytes,
        "max_abs_err": max(timing.max_abs_err for timing in timings),
    }
