"""Effects: whole encoders, ours beside other engines and in each block shape."""

from __future__ import annotations

from codesign.answers.effects import effect, least
from codesign.answers.frames import DENSE, OURS, Frames, missing
from codesign.measure.ratios import Interval


@effect("ratio")
def speedup(frames: Frames, baseline: str, scope: str, block: str) -> Interval:
    """Effect: how many times our sparse engine is faster than a dense one."""
    return frames.speedup((baseline, *DENSE), (OURS, scope, block))


@effect("ratio")
def lead(frames: Frames, scope: str, block: str) -> Interval:
    """Effect: time of the closest other shape over that of ``block``; above one where ``block`` beats them all."""
    frames.latency(OURS, scope, block)
    others = [other for other in frames.shapes(scope) if other != block]
    if not others:
        raise missing("latency", scope=scope, block=f"not {block}")
    return least(frames.speedup((OURS, scope, other), (OURS, scope, block)) for other in others)
