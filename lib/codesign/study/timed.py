"""Step 4: one session a scope, every engine and every block shape timed beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from codesign.measure import PROTOCOLS, Contender, run_session
from codesign.measure.session import REFERENCES
from codesign.records import Record
from codesign.schema import NATIVE
from codesign.study.chain import Study, say
from codesign.study.compiled import artifact
from codesign.study.points import Case, Point, by_scope
from codesign.study.pruned import require_files

#: Too slow to be called in every session: it gets one of its own, beside the references.
SLOW = "tvm-stock-default"
#: Engines that may gain from zeros: they run every pruned point, the others the dense one.
SPARSE = ("tvm-bsr", "deepsparse", "torch-bsr")
#: Engines beside the references: ours, and TVM as it comes.
OURS, STOCK = ("tvm-dense", "tvm-bsr"), ("tvm-stock-tuned", SLOW)


def sessions(
    points: Sequence[Point], *, stock: bool, engines: Sequence[str] | None = None, isa: str = NATIVE
) -> list[list[Case]]:
    """Say which cases are timed together.

    A session for each scope, with the references, the dense engines where the sweep has the dense point, and every
    block shape; and one more with the untuned stock pipeline, if asked for.

    Parameters
    ----------
    points
        From `codesign.study.points.sweep`.
    stock
        Add TVM's own pipeline.
    engines
        All engines beside the references, instead of ours and the stock ones.
    isa
        What the engines that we compile are compiled for.
    """
    dense = points[0].dense
    chosen = [*OURS, *(STOCK if stock else ())] if engines is None else [e for e in engines if e not in REFERENCES]
    references = [Case(engine, dense) for engine in REFERENCES]
    others = [engine for engine in chosen if engine not in (*SPARSE, SLOW)] if dense in points else []
    sparse = [engine for engine in chosen if engine in SPARSE]
    fixed = references + [Case(engine, dense) for engine in others]
    planned = [
        fixed + [Case(engine, point) for engine in sparse for point in group] for group in by_scope(points).values()
    ]
    planned += [[*references, Case(SLOW, dense)]] if SLOW in chosen and dense in points else []
    return [[replace(case, isa=isa) if case.compiled else case for case in session] for session in planned]


def compiled_cases(
    points: Sequence[Point], *, stock: bool, engines: Sequence[str] | None = None, isa: str = NATIVE
) -> list[Case]:
    """Every case of the sessions that needs an artefact, once."""
    planned = sessions(points, stock=stock, engines=engines, isa=isa)
    return list(dict.fromkeys(case for session in planned for case in session if case.compiled))


def ensure_timed(
    study: Study,
    points: Sequence[Point],
    *,
    stock: bool = True,
    engines: Sequence[str] | None = None,
    isa: str = NATIVE,
) -> list[Record]:
    """Run every session that still needs it; return the `latency` records of all sessions, controls included.

    A session counts as a whole: if one of its records is missing, all of it is timed again.

    Raises
    ------
    MissingRecord
        If an artefact or, reading committed results, a record is missing.
    """
    planned = sessions(points, stock=stock, engines=engines, isa=isa)
    if study.local:
        for number, cases in enumerate(planned, start=1):
            if _session_id(study, cases) is None:
                say(f"session {number}/{len(planned)}: {len(cases)} contenders")
                _run(study, cases)
    return [record for cases in planned for record in _records(study, cases)]


def _session_id(study: Study, cases: Sequence[Case]) -> str | None:
    """Return the newest session that has a record of every case."""
    held = [[r["session_id"] for r in study.found("latency", case.fields())] for case in cases]
    return next((name for name in reversed(held[0]) if all(name in names for names in held)), None)


def _records(study: Study, cases: Sequence[Case]) -> list[Record]:
    session = _session_id(study, cases)
    if session is None:
        return [study.newest("latency", case.fields()) for case in cases]
    return study.found("latency", {"session_id": session})


def _run(study: Study, cases: Sequence[Case]) -> None:
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
