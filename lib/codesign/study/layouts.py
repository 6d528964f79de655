"""The same encoders with weights and activations laid out in several ways, timed in one session."""

from __future__ import annotations

from collections.abc import Sequence

from codesign.compiler import target_spec
from codesign.compiler.operators.linear import strip_of
from codesign.compiler.slabs import slabs_for
from codesign.measure.session import REFERENCES
from codesign.records import Record
from codesign.study.aside import ensure_aside
from codesign.study.chain import Study
from codesign.study.points import Case, Point, headline

KIND = "layouts"
#: The ways: blocks stored whole; in strips, as everywhere in the book; and with token-major activations.
WHOLE, STRIPS, TOKEN_MAJOR = "whole blocks", "strips", "token-major"
#: Our engines, dense and sparse, by way.
ENGINES = {
    WHOLE: ("tvm-dense-whole", "tvm-bsr-whole"),
    STRIPS: ("tvm-dense", "tvm-bsr"),
    TOKEN_MAJOR: ("tvm-dense-token-major", "tvm-bsr-token-major"),
}


def cases(points: Sequence[Point]) -> list[Case]:
    """Say what takes part: the references, and our engines in each way, dense and in each block shape that has it."""
    given = headline(points)
    found = [Case(engine, given) for engine in REFERENCES]
    for way, (dense, sparse) in ENGINES.items():
        found += [Case(dense, given), *(Case(sparse, each) for each in points if way in ways_of(each))]
    return found


def ways_of(point: Point) -> list[str]:
    """Ways in which an encoder with these blocks can be compiled, those left out that are the same as another.

    A block of few rows is a strip itself. In a token-major encoder, rows of a block are computed side by side, so only
    shapes with whole vectors of rows have one.
    """
    rows, spec = point.shape.rows if point.shape else 1, target_spec(point.threads)
    vectors = slabs_for(point.batch, point.seq, spec).slab // spec.lanes
    has = {WHOLE: strip_of(rows, vectors) < rows, STRIPS: True, TOKEN_MAJOR: rows % spec.lanes == 0}
    return [way for way in ENGINES if has[way]]


def ensure_layouts(study: Study, points: Sequence[Point], trials_per_task: int) -> list[Record]:
    """Tune, build and time what still needs it; return the `layouts` records of one session, the control included.

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
    wanted = cases(points)
    untuned = [case for case in wanted if case.compiled and case.engine not in ENGINES[STRIPS]]
    return ensure_aside(study, KIND, wanted, untuned, trials_per_task)
