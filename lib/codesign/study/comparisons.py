"""Sessions about another question than those of step 4: their records are of kinds of their own.

The same encoders run beside each other, compiled in several ways, or time takes turns in several ways. What such a
session says of an encoder must not take the place of what step 4 says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from codesign.compiler import target_spec
from codesign.compiler.layout import slabs_for
from codesign.compiler.operators.linear import strip_of
from codesign.isa import NATIVE
from codesign.measure import PROTOCOLS
from codesign.measure.naive import WAYS, compare_ways
from codesign.measure.session import REFERENCES
from codesign.progress import duration, say
from codesign.records import KINDS, Record, Results
from codesign.study.artefacts import ensure_built
from codesign.study.chain import Study
from codesign.study.points import Case, Point, headline
from codesign.study.sessions import Session, contender, session_id, shared_session, time_together
from codesign.study.tuning import ensure_tuned

#: For the estimate, seconds: to tune, build and time an encoder of BERT-base's size.
_TUNE_S, _BUILD_S, _TIME_S = 20.0, 6.0, 20.0

#: Ways to lay out an encoder: blocks stored whole; in strips, as everywhere in the book; and with token-major
#: activations.
WHOLE, STRIPS, TOKEN_MAJOR = "whole blocks", "strips", "token-major"
#: Our engines, dense and sparse, by layout.
LAYOUTS = {
    WHOLE: ("tvm-dense-whole", "tvm-bsr-whole"),
    STRIPS: ("tvm-dense", "tvm-bsr"),
    TOKEN_MAJOR: ("tvm-dense-token-major", "tvm-bsr-token-major"),
}


def ensure_layouts(study: Study, points: Sequence[Point], trials_per_task: int) -> list[Record]:
    """Time the same encoders with weights and activations laid out in several ways; return the `layouts` records.

    Tunes, builds and times what still needs it. The records are of one session, the control included.

    Parameters
    ----------
    points
        One model pruned in some block shapes.
    trials_per_task
        Most trials of a task that notebook 03_tune does not tune.

    Raises
    ------
    MissingRecord
        If a checkpoint or, reading committed results, a record is missing.
    """
    wanted = layout_cases(points)
    untuned = [case for case in wanted if case.compiled and case.engine not in LAYOUTS[STRIPS]]
    return _ensure_aside(study, "layouts", wanted, untuned, trials_per_task)


def layout_cases(points: Sequence[Point]) -> Session:
    """Say what takes part: the references, and our engines in each layout, dense and in each shape that has it."""
    given = headline(points)
    found = [Case(engine, given) for engine in REFERENCES]
    for layout, (dense, sparse) in LAYOUTS.items():
        found += [Case(dense, given), *(Case(sparse, each) for each in points if layout in layouts_of(each))]
    return found


def layouts_of(point: Point) -> list[str]:
    """Layouts in which an encoder with these blocks can be compiled, those left out that are the same as another.

    A block of few rows is a strip itself. In a token-major encoder, rows of a block are computed side by side, so only
    shapes with whole vectors of rows have one.
    """
    rows, spec = point.shape.rows if point.shape else 1, target_spec(point.threads)
    vectors = slabs_for(point.batch, point.seq, spec).slab // spec.lanes
    has = {WHOLE: strip_of(rows, vectors) < rows, STRIPS: True, TOKEN_MAJOR: rows % spec.lanes == 0}
    return [layout for layout in LAYOUTS if has[layout]]


def ensure_vectors(study: Study, points: Sequence[Point], isas: Sequence[str], trials_per_task: int) -> list[Record]:
    """Time the same encoders compiled for several instruction sets; return the `vectors` records.

    A session of step 4 has one instruction set; here an encoder compiled for another one takes its turns beside it,
    each built from what its own tuning found best. Tunes, builds and times what still needs it. The records are of one
    session, the control included.

    Parameters
    ----------
    points
        One model pruned in some block shapes.
    isas
        Instruction sets, as in `codesign.compiler.target_spec`. With fewer than two there is nothing to compare.
    trials_per_task
        Most trials of a task for an instruction set that is not the machine's own; those of that one are tuned by
        notebook 03_tune.

    Raises
    ------
    InputError
        If this machine lacks an instruction set.
    MissingRecord
        If a checkpoint or, reading committed results, a record is missing.
    """
    if len(isas) < 2:
        return []
    wanted = vector_cases(points, isas)
    others = [case for case in wanted if case.compiled and case.isa != NATIVE]
    return _ensure_aside(study, "vectors", wanted, others, trials_per_task)


def vector_cases(points: Sequence[Point], isas: Sequence[str]) -> Session:
    """Say what takes part: the references, and our engines for each instruction set, dense and in each block shape."""
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
        compare_ways(
            [contender(study, case) for case in pair],
            protocol=PROTOCOLS[study.protocol],
            results=study.results,
            profile=study.profile,
            run_id=study.run_id,
        )
    session = shared_session(study, "protocol", every)
    return [study.newest("protocol", fields | {"session_id": session} if session else fields) for fields in every]


@dataclass(frozen=True)
class _OfKind(Results):
    """Results to which a session appends latency records under the name of another kind."""

    kind: str = ""

    def append(self, record: Any) -> None:
        super().append({**record, "kind": self.kind, "measurement": KINDS[self.kind].measurement_version})


def _ensure_aside(
    study: Study, kind: str, wanted: Session, untuned: Sequence[Case], trials_per_task: int
) -> list[Record]:
    """Tune, build and time what still needs it; return the records of one session, the control included."""
    if study.local and session_id(study, wanted, kind) is None:
        seconds = len(untuned) * _TUNE_S + len(wanted) * (_BUILD_S + _TIME_S)
        say(f"{len(wanted)} encoders side by side: about {duration(seconds)}")
        if untuned:
            ensure_tuned(study, untuned, trials_per_task)
        ensure_built(study, [case for case in wanted if case.compiled])
        results = _OfKind(study.results.machine, study.results.root, kind=kind)
        time_together(replace(study, results=results), wanted)
    session = session_id(study, wanted, kind) or study.newest(kind, wanted[-1].fields())["session_id"]
    return study.found(kind, {"session_id": session})
