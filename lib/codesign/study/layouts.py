"""The same encoders with feature-major and with token-major activations, timed in one session."""

from __future__ import annotations

from collections.abc import Sequence

from codesign.compiler import target_spec
from codesign.compiler.slabs import FEATURE_MAJOR, TOKEN_MAJOR
from codesign.measure.session import REFERENCES
from codesign.records import Record
from codesign.study.aside import ensure_aside
from codesign.study.chain import Study
from codesign.study.points import Case, Point, headline

KIND = "layouts"
#: Our engines, dense and sparse, by the layout of their activations.
ENGINES = {FEATURE_MAJOR: ("tvm-dense", "tvm-bsr"), TOKEN_MAJOR: ("tvm-dense-token-major", "tvm-bsr-token-major")}


def cases(points: Sequence[Point]) -> list[Case]:
    """Say what takes part: the references, and our engines in both layouts, dense and in each block shape.

    In a token-major encoder, rows of a block are computed side by side, so only shapes with whole vectors of rows have
    one.
    """
    given = headline(points)
    found = [Case(engine, given) for engine in REFERENCES]
    for layout, (dense, sparse) in ENGINES.items():
        found += [Case(dense, given), *(Case(sparse, each) for each in points if layout in layouts_of(each))]
    return found


def layouts_of(point: Point) -> list[str]:
    """Layouts in which an encoder with these blocks can be compiled."""
    tall = point.shape is not None and point.shape.rows % target_spec(point.threads).lanes == 0
    return [layout for layout in ENGINES if tall or layout == FEATURE_MAJOR]


def ensure_layouts(study: Study, points: Sequence[Point], trials_per_task: int) -> list[Record]:
    """Tune, build and time what still needs it; return the `layouts` records of one session, the control included.

    Parameters
    ----------
    points
        One model pruned in some block shapes.
    trials_per_task
        Most trials of a task of the token-major encoders; the others are tuned by notebook 03_tune.

    Raises
    ------
    MissingRecord
        If a checkpoint or, reading committed results, a record is missing.
    """
    wanted = cases(points)
    untuned = [case for case in wanted if case.engine in ENGINES[TOKEN_MAJOR]]
    return ensure_aside(study, KIND, wanted, untuned, trials_per_task)
