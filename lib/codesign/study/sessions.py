"""Step 4: one session a scope, every engine and every block shape timed beside each other.

A session is a list of cases, and counts as a whole. One that does not fit in memory is split, and each part gets the
references again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from codesign import machine
from codesign.engines import SPARSE
from codesign.isa import NATIVE
from codesign.measure import PROTOCOLS, Contender, run_session
from codesign.measure.session import REFERENCES
from codesign.progress import say
from codesign.records import Record
from codesign.study.artefacts import artifact
from codesign.study.chain import Study
from codesign.study.points import Case, Point, by_scope, headline
from codesign.study.pruned import ensure_calibration, require_files

#: Too slow to be called in every session: it gets one of its own, beside the references.
SLOW = "tvm-stock-default"
#: Engines beside the references: ours, and TVM as it comes.
OURS, STOCK = ("tvm-dense", "tvm-bsr"), ("tvm-stock-tuned", SLOW)
#: Engines that run an artefact of ours.
COMPILED = (*OURS, *STOCK)
#: Engines that may leave zeros out and are not ours.
PEERS = tuple(engine for engine in SPARSE if not engine.startswith("tvm-"))

#: Resident size of an engine's process, from the size of the files that it loads. With BERT-base the engines here had
#: 0.4 to 1.0 GB at most, loading 0.16 to 0.42 GB: 0.2 to 0.4 GB for libraries, and the weights up to one and a half
#: times. The mean is what counts for many at once.
LIBRARIES_BYTES, COPIES = 250 * 2**20, 1.25
#: Share of the memory that engines may fill. The rest is for the system and for converting two encoders at a time. It
#: is a share of what the machine has, not of what is free just now: an interrupted run must split its sessions in the
#: same way when it goes on.
FILLED = 0.8
#: In every part of a session: what other parts are related through, and what sparsity is credited against.
KEPT = (*REFERENCES, "tvm-dense")

Session = list[Case]


def sessions(
    points: Sequence[Point],
    *,
    engines: Sequence[str],
    peer_blocks: Sequence[str] | None = None,
    isa: str = NATIVE,
) -> list[Session]:
    """Say which cases are timed together: a session for each scope, and one more for the untuned stock pipeline.

    All engines of a session get the same pruned weights. Those that may leave zeros out run every block shape. For the
    others one shape stands for all, because zeros are to them like any other value: 32x1, or else the first shape.

    Parameters
    ----------
    points
        From `codesign.study.points.sweep`, or a single dense one, which gets a session of its own.
    engines
        Engines beside the references, which take part in any case; for a dense point, none that leaves zeros out.
    peer_blocks
        Block shapes that the sparse engines of others run; None for all.
    isa
        What the engines that we compile are compiled for.
    """
    planned = []
    for group in list(by_scope(points).values()) or [list(points)]:
        given = headline(group)
        dense = [*REFERENCES, *(e for e in engines if e not in (*REFERENCES, *SPARSE, SLOW))]
        planned.append([Case(engine, given) for engine in dense])
        for engine in (engine for engine in engines if engine in SPARSE):
            shown = None if engine not in PEERS else peer_blocks
            planned[-1] += [Case(engine, point) for point in group if shown is None or point.block in shown]
    if SLOW in engines:
        planned.append([Case(engine, headline(points)) for engine in (*REFERENCES, SLOW)])
    return [[replace(case, isa=isa) if case.compiled else case for case in session] for session in planned]


def compiled_cases(points: Sequence[Point], *, engines: Sequence[str] = COMPILED, isa: str = NATIVE) -> list[Case]:
    """Every case of the sessions that needs an artefact, once."""
    return compiled(sessions(points, engines=engines, isa=isa))


def compiled(planned: Sequence[Session]) -> list[Case]:
    """Every case of these sessions that needs an artefact, once."""
    return list(dict.fromkeys(case for session in planned for case in session if case.compiled))


def ensure_timed(
    study: Study,
    points: Sequence[Point],
    *,
    engines: Sequence[str],
    peer_blocks: Sequence[str] | None = None,
    isa: str = NATIVE,
) -> list[Record]:
    """Run every session that still needs it; return the `latency` records of all sessions, controls included.

    A session counts as a whole: if one of its records is missing, all of it is timed again. One that does not fit in
    memory is split into several, each with the references.

    Raises
    ------
    MissingRecord
        If an artefact or, reading committed results, a record is missing.
    """
    planned = sessions(points, engines=engines, peer_blocks=peer_blocks, isa=isa)
    for number, cases in enumerate(planned, start=1):
        ensure_session(study, cases, f"session {number}/{len(planned)}")
    return [record for cases in planned for record in session_records(study, cases)]


def ensure_session(study: Study, cases: Session, name: str) -> None:
    """Run one session, or those parts of it that still need it; nothing when reading committed results."""
    if not study.local or session_id(study, cases):
        return
    budget = int(FILLED * machine.describe().memory_gib * 2**30)
    parts = split(cases, lambda case: resident_bytes(study, case), budget)
    if len(parts) > 1:
        say(f"{name}: {len(cases)} encoders do not fit in memory at once, so they are timed in {len(parts)} sessions")
    for number, part in enumerate(parts, start=1):
        if session_id(study, part) is None:
            which = f"{name}, part {number}/{len(parts)}" if len(parts) > 1 else name
            say(f"{which}: {len(part)} contenders")
            time_together(study, part)


def session_id(study: Study, cases: Session, kind: str = "latency") -> str | None:
    """Return the newest session that has a record of every case."""
    return shared_session(study, kind, [case.fields() for case in cases])


def shared_session(study: Study, kind: str, wanted: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the newest session that has records of a kind with each of these fields; None if there is none."""
    held = [[record["session_id"] for record in study.found(kind, fields)] for fields in wanted]
    return next((name for name in reversed(held[0]) if all(name in names for names in held)), None)


def session_records(study: Study, cases: Session) -> list[Record]:
    """Return the records of a session; of one that was split, those of the newest sessions that have its cases.

    Raises
    ------
    MissingRecord
        If a case was not timed.
    """
    if whole := session_id(study, cases):
        return study.found("latency", {"session_id": whole})
    parts = {study.newest("latency", case.fields())["session_id"] for case in cases}
    return [record for record in study.found("latency", {}) if record["session_id"] in parts]


def resident_bytes(study: Study, case: Case) -> int:
    """Estimate the resident size of an engine from that of the files that it loads."""
    folder = artifact(study, case) if case.compiled else require_files(study, case.point).checkpoint
    return round(LIBRARIES_BYTES + COPIES * sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))


def split(cases: Session, resident: Callable[[Case], int], budget: int) -> list[Session]:
    """Split a session into parts that fit, in order; a session that fits stays whole.

    Parameters
    ----------
    cases
        With the references. These and our dense engine, where it is there, are in every part.
    resident
        Estimates the resident size of a case, in bytes. The control counts as one more of the first case.
    budget
        Bytes that a part may fill. A part has at least one case beside those of every part, whatever its size.
    """
    kept = [case for case in cases if case.engine in KEPT]
    fixed = filled = sum(map(resident, kept)) + resident(cases[0])
    parts: list[Session] = [[]]
    for case in cases:
        if case in kept:
            continue
        size = resident(case)
        if parts[-1] and filled + size > budget:
            parts.append([])
            filled = fixed
        parts[-1].append(case)
        filled += size
    return [kept + part for part in parts]


def time_together(study: Study, cases: Session, kind: str = "latency") -> None:
    """Time a session, which appends its records."""
    run_session([contender(study, case) for case in cases], kind=kind, **how(study))


def how(study: Study) -> dict[str, Any]:
    """What every session of a study is told beside who takes part."""
    protocol = PROTOCOLS[study.protocol]
    return {"protocol": protocol, "results": study.results, "profile": study.profile, "run_id": study.run_id}


def contender(study: Study, case: Case) -> Contender:
    """Say what a case needs in order to be timed.

    Raises
    ------
    MissingRecord
        If its checkpoint, its pattern or its artefact is missing.
    """
    where = require_files(study, case.point)
    pattern = study.newest("pattern", case.point.fields())
    sparsity = {name: pattern[name] for name in ("block_sparsity", "element_sparsity")}
    return Contender(
        engine=case.engine,
        point={**case.point.fields(), **sparsity, "isa": case.isa},
        checkpoint=where.checkpoint,
        artifact=artifact(study, case) if case.compiled else None,
        expected=where.expected,
        inputs=where.inputs,
        calibration=ensure_calibration(study, case.point),
    )
