"""Sessions about another question than those of step 4: their records are of kinds of their own.

The same encoders run beside each other, compiled in several ways, or time takes turns in several ways. What such a
session says of an encoder must not take the place of what step 4 says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from codesign.compiler import target_spec
from codesign.compiler.layout import layout_for
from codesign.compiler.operators.packing import strip_of
from codesign.engines import FORMATS, LAYOUTS, STRIPS, TOKEN_MAJOR, WHOLE
from codesign.measure.naive import WAYS, compare_ways
from codesign.measure.session import REFERENCES
from codesign.records import Record
from codesign.study.artefacts import ensure_built
from codesign.study.chain import Study
from codesign.study.lowered import is_tuned
from codesign.study.points import Case, Point, headline
from codesign.study.pruned import ensure_pruned
from codesign.study.sessions import Session, contender, how, session_id, shared_session, time_together
from codesign.study.tuning import ensure_tuned


def ensure_beside(study: Study, kind: str, cases: Session, trials_per_task: int) -> list[Record]:
    """Time encoders compiled in several ways in one session; return its records, the control included.

    Tunes, builds and times what still needs it, each encoder from what its own tuning found best.

    Parameters
    ----------
    kind
        Of the records: ``layouts``, ``vectors`` or ``formats``.
    cases
        From `layout_cases`, `vector_cases` or `format_cases`; without any there is nothing to do, nor where all
        instruction sets are the same on this machine.
    trials_per_task
        Most trials of a task that notebook 03_tune does not tune.

    Raises
    ------
    InputError
        If this machine lacks an instruction set.
    MissingRecord
        If a checkpoint or, reading committed results, a record is missing.
    """
    targets = {target_spec(case.point.threads, case.isa).key for case in cases if study.local and case.compiled}
    if not cases or (kind == "vectors" and len(targets) == 1):
        return []
    if study.local and session_id(study, cases, kind) is None:
        built = [case for case in cases if case.compiled]
        ensure_pruned(study, list(dict.fromkeys(case.point for case in cases)))
        ensure_tuned(study, [case for case in built if not is_tuned(study, case)], trials_per_task)
        ensure_built(study, built)
        time_together(study, cases, kind)
    session = session_id(study, cases, kind) or study.newest(kind, cases[-1].fields())["session_id"]
    return study.found(kind, {"session_id": session})


def layout_cases(points: Sequence[Point]) -> Session:
    """Say what takes part: the references, and our engines in each layout, dense and in each shape that has it."""
    given = headline(points)
    found = [Case(engine, given) for engine in REFERENCES]
    for layout, (dense, sparse) in LAYOUTS.items():
        found += [Case(dense, given), *(Case(sparse, each) for each in points if layout in layouts_of(each))]
    return found


def format_cases(points: Sequence[Point], engines: Sequence[str]) -> Session:
    """Say what takes part: the references, engines of others, and ours in each number format, dense and pruned."""
    given = headline(points)
    found = [Case(engine, given) for engine in dict.fromkeys((*REFERENCES, *engines))]
    for dense, sparse in FORMATS.values():
        found += [Case(dense, given), *(Case(sparse, each) for each in points)]
    return found


def layouts_of(point: Point) -> list[str]:
    """Layouts in which an encoder with these blocks can be compiled, those left out that are the same as another.

    A block of few rows is a strip itself. In a token-major encoder, rows of a block are computed side by side, so only
    shapes with whole vectors of rows have one.
    """
    rows, spec = point.shape.rows if point.shape else 1, target_spec(point.threads)
    vectors = layout_for(point.batch, point.seq, spec).vectors
    has = {WHOLE: strip_of(rows, vectors) < rows, STRIPS: True, TOKEN_MAJOR: rows % spec.lanes == 0}
    return [layout for layout in LAYOUTS if has[layout]]


def vector_cases(points: Sequence[Point], isas: Sequence[str]) -> Session:
    """Say what takes part: the references, and our engines for each instruction set, dense and in each block shape.

    With fewer than two instruction sets there is nothing to compare.
    """
    if len(isas) < 2:
        return []
    given = headline(points)
    ours = [Case("tvm-dense", given), *(Case("tvm-bsr", point) for point in points)]
    return [*(Case(engine, given) for engine in REFERENCES), *(replace(each, isa=isa) for isa in isas for each in ours)]


def ensure_compared(study: Study, pair: tuple[Case, Case]) -> list[Record]:
    """Does it matter how engines take turns? Time two that disturb each other in every way, unless that was done.

    Returns
    -------
    list[Record]
        `protocol` records: alone, naive, turns; a, b in each.

    Raises
    ------
    MissingRecord
        If an artefact or, reading committed results, a record is missing.
    EngineError
        If one of the two cannot be timed here.
    """
    every: list[dict[str, Any]] = [{**case.fields(), "way": way} for way, case in product(WAYS, pair)]
    if study.local and shared_session(study, "protocol", every) is None:
        compare_ways([contender(study, case) for case in pair], **how(study))
    session = shared_session(study, "protocol", every)
    return [study.newest("protocol", fields | {"session_id": session} if session else fields) for fields in every]
