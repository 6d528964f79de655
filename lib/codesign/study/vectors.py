"""The same encoders compiled for several instruction sets, timed in one session.

A session of step 4 has one instruction set; here an encoder compiled for another one takes its turns beside it, each
built from what its own tuning found best. The records are of a kind of their own, because they are about another
question than those of step 4, and must not take their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from codesign.measure import PROTOCOLS, run_session
from codesign.measure.session import REFERENCES
from codesign.records import Record, Results, code_digest
from codesign.schema import NATIVE
from codesign.study.chain import Study, duration, say
from codesign.study.compiled import ensure_built
from codesign.study.points import Case, Point, headline
from codesign.study.timed import contender
from codesign.study.tuned import ensure_tuned

KIND = "vectors"
#: For the estimate, seconds: to tune, build and time an encoder of BERT-base's size.
_TUNE_S, _BUILD_S, _TIME_S = 20.0, 6.0, 20.0


@dataclass(frozen=True)
class _OfKind(Results):
    """Results to which a session appends latency records under the name of this kind."""

    def append(self, record: Any) -> None:
        super().append({**record, "kind": KIND, "code": code_digest(KIND)})


def cases(points: Sequence[Point], isas: Sequence[str]) -> list[Case]:
    """Say what takes part: the references, and our engines for each instruction set, dense and in each block shape."""
    given = headline(points)
    ours = [Case("tvm-dense", given), *(Case("tvm-bsr", point) for point in points)]
    compiled = [replace(case, isa=isa) for isa in isas for case in ours]
    return [*(Case(engine, given) for engine in REFERENCES), *compiled]


def ensure_vectors(study: Study, points: Sequence[Point], isas: Sequence[str], trials_per_task: int) -> list[Record]:
    """Tune, build and time what still needs it; return the `vectors` records of one session, the control included.

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
    wanted = cases(points, isas)
    if study.local and session_id(study, wanted) is None:
        compiled = [case for case in wanted if case.compiled]
        others = [case for case in compiled if case.isa != NATIVE]
        seconds = len(others) * (_TUNE_S + _BUILD_S) + len(wanted) * _TIME_S
        say(f"{len(wanted)} encoders for {', '.join(isas)}: about {duration(seconds)}")
        if others:
            ensure_tuned(study, others, trials_per_task)
        ensure_built(study, compiled)
        run_session(
            [contender(study, case) for case in wanted],
            protocol=PROTOCOLS[study.protocol],
            results=_OfKind(study.results.mode, study.results.root),
            profile=study.profile,
            run_id=study.run_id,
        )
    session = session_id(study, wanted) or study.newest(KIND, wanted[-1].fields())["session_id"]
    return study.found(KIND, {"session_id": session})


def session_id(study: Study, wanted: Sequence[Case]) -> str | None:
    """Return the newest session that has a record of every case."""
    held = [[r["session_id"] for r in study.found(KIND, case.fields())] for case in wanted]
    return next((name for name in reversed(held[0]) if all(name in names for names in held)), None)
