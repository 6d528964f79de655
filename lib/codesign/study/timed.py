"""Step 4: one session a scope, every engine and every block shape timed beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from codesign.engines import SPARSE
from codesign.measure import PROTOCOLS, Contender, run_session
from codesign.measure.session import REFERENCES
from codesign.records import Record
from codesign.schema import NATIVE
from codesign.study.chain import Study, say
from codesign.study.compiled import artifact
from codesign.study.memory import budget_bytes, resident_bytes, split
from codesign.study.points import Case, Point, by_scope, headline
from codesign.study.pruned import require_files

#: Too slow to be called in every session: it gets one of its own, beside the references.
SLOW = "tvm-stock-default"
#: Engines beside the references: ours, and TVM as it comes.
OURS, STOCK = ("tvm-dense", "tvm-bsr"), ("tvm-stock-tuned", SLOW)
#: Engines that run an artefact of ours.
COMPILED = (*OURS, *STOCK)
#: Engines that may leave zeros out and are not ours.
PEERS = tuple(engine for engine in SPARSE if not engine.startswith("tvm-"))

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
    parts = split(cases, lambda case: resident_bytes(_file_bytes(study, case)), budget_bytes())
    if len(parts) > 1:
        say(f"{name}: {len(cases)} encoders do not fit in memory at once, so they are timed in {len(parts)} sessions")
    for number, part in enumerate(parts, start=1):
        if session_id(study, part) is None:
            which = f"{name}, part {number}/{len(parts)}" if len(parts) > 1 else name
            say(f"{which}: {len(part)} contenders")
            _run(study, part)


def session_id(study: Study, cases: Session, kind: str = "latency") -> str | None:
    """Return the newest session that has a record of every case."""
    held = [[r["session_id"] for r in study.found(kind, case.fields())] for case in cases]
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


def _file_bytes(study: Study, case: Case) -> int:
    """Size of what an engine loads."""
    folder = artifact(study, case) if case.compiled else require_files(study, case.point).checkpoint
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _run(study: Study, cases: Session) -> None:
    run_session(
        [contender(study, case) for case in cases],
        protocol=PROTOCOLS[study.protocol],
        results=study.results,
        profile=study.profile,
        run_id=study.run_id,
    )


def contender(study: Study, case: Case) -> Contender:
    """Say what a case needs in order to be timed.

    Raises
    ------
    MissingRecord
        If its checkpoint, its pattern or its artefact is missing.
    """
    where = require_files(study, case.point)
    pattern = study.newest("pattern", case.point.fields())
    sparsity: dict[str, Any] = {name: pattern[name] for name in ("block_sparsity", "element_sparsity")}
    return Contender(
        engine=case.engine,
        point={**case.point.fields(), **sparsity, "isa": case.isa},
        checkpoint=where.checkpoint,
        artifact=artifact(study, case) if case.compiled else None,
        expected=where.expected,
        inputs=where.inputs,
    )
