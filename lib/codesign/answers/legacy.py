"""Effects whose subject has not moved here yet: they call what read records before."""

from __future__ import annotations

from functools import cache

from codesign.answers.effects import effect
from codesign.answers.frames import Frames
from codesign.measure.ratios import Interval
from codesign.study import (
    layout_views,
)
from codesign.study.evidence import Evidence


@cache
def evidence_of(frames: Frames) -> Evidence:
    """Return the same records at the same point, as they were chosen before."""
    point = {name: getattr(frames, name) for name in ("model", "sparsity", "pruner", "isa")}
    return Evidence(frames.results, **point, **frames.load)


@effect("ratio")
def strips_gain(frames: Frames) -> Interval:
    return layout_views.least_gain(evidence_of(frames))


@effect("ratio")
def tall_as_low(frames: Frames) -> Interval:
    return layout_views.tall_as_low(evidence_of(frames))


@effect("ratio")
def feature_major_lead(frames: Frames) -> Interval:
    return layout_views.feature_major_lead(evidence_of(frames))


@effect("ratio")
def layout_picked(frames: Frames) -> Interval:
    return layout_views.picked_right(evidence_of(frames))
