"""Effects whose subject has not moved here yet: they call what read records before."""

from __future__ import annotations

from functools import cache

from codesign.answers.effects import effect
from codesign.answers.frames import Frames
from codesign.measure.ratios import Interval
from codesign.study import (
    accuracy_claims,
    identified,
    kernel_claims,
    layout_views,
    pattern_views,
    profile_views,
    searched,
    vector_views,
)
from codesign.study.evidence import Evidence
from codesign.study.numbers import numbers


@cache
def _evidence(frames: Frames) -> Evidence:
    point = {name: getattr(frames, name) for name in ("model", "sparsity", "pruner", "isa")}
    return Evidence(frames.results, **point, **frames.load)


@cache
def _numbers(frames: Frames) -> dict[str, str]:
    return numbers(frames.results)


@effect("share")
def kernel_reached(frames: Frames, group: str, linear: str) -> Interval:
    sizes = {"attention": [kernel_claims.ATTENTION], "ffn": [kernel_claims.FFN_UP, kernel_claims.FFN_DOWN]}
    blocks = {"tall": kernel_claims.TALL, "flat": kernel_claims.FLAT}
    return kernel_claims.reached(sizes[linear], blocks[group])(_evidence(frames))


@effect("ratio")
def kernel_lead(frames: Frames, block: str, family: str) -> Interval:
    return kernel_claims.lead(block, family)(_evidence(frames))


@effect("ratio")
def kernel_over(frames: Frames, block: str, other: str) -> Interval:
    return kernel_claims.against(block, other)(_evidence(frames))


@effect("ratio")
def patterns_inside(frames: Frames) -> Interval:
    return pattern_views.inside_effect(_evidence(frames))


@effect("ratio")
def patterns_where(frames: Frames) -> Interval:
    return pattern_views.where_effect(_evidence(frames))


@effect("share")
def linears_share(frames: Frames, what: str) -> Interval:
    parts = {"together": profile_views.together, "largest": profile_views.largest}
    return profile_views.inside(parts[what])(_evidence(frames))


@effect("ratio")
def wider_vectors(frames: Frames) -> Interval:
    return vector_views.least_gain(_evidence(frames))


@effect("ratio")
def same_shape_narrow(frames: Frames) -> Interval:
    return vector_views.same_shape(_evidence(frames))


@effect("ratio")
def strips_gain(frames: Frames) -> Interval:
    return layout_views.least_gain(_evidence(frames))


@effect("ratio")
def tall_as_low(frames: Frames) -> Interval:
    return layout_views.tall_as_low(_evidence(frames))


@effect("ratio")
def feature_major_lead(frames: Frames) -> Interval:
    return layout_views.feature_major_lead(_evidence(frames))


@effect("ratio")
def layout_picked(frames: Frames) -> Interval:
    return layout_views.picked_right(_evidence(frames))


@effect("ratio")
def tuning_margin(frames: Frames) -> Interval:
    return searched.margin(_evidence(frames))


@effect("ratio")
def task_reuse(frames: Frames) -> Interval:
    return identified.reuse(_evidence(frames))


@effect("share")
def tasks_alike(frames: Frames) -> Interval:
    return identified.alike(_evidence(frames))


@effect("share")
def over_words(frames: Frames) -> Interval:
    return accuracy_claims.over_words(_evidence(frames))


@effect("share")
def over_at_once(frames: Frames) -> Interval:
    return accuracy_claims.over_at_once(_evidence(frames))


@effect("share")
def over_unstructured(frames: Frames) -> Interval:
    return accuracy_claims.over_unstructured(_evidence(frames))


@effect("ratio")
def trained_alike(frames: Frames) -> Interval:
    return accuracy_claims.likeness(_evidence(frames))


@effect("ratio")
def lead_of_choice(frames: Frames) -> Interval:
    return accuracy_claims.lead_of_choice(_evidence(frames))
