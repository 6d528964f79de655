"""The same encoders compiled for several instruction sets, timed in one session.

A session of step 4 has one instruction set; here an encoder compiled for another one takes its turns beside it, each
built from what its own tuning found best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from codesign.measure.session import REFERENCES
from codesign.records import Record
from codesign.schema import NATIVE
from codesign.study.aside import ensure_aside
from codesign.study.chain import Study
from codesign.study.points import Case, Point, headline

KIND = "vectors"


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
    others = [case for case in wanted if case.compiled and case.isa != NATIVE]
    return ensure_aside(study, KIND, wanted, others, trials_per_task)
