"""Effects: whole encoders, ours beside other engines, and block shapes beside each other.

One shape is always fastest; whether the others lose by much is another question, and the one that a pruner asks: tall
shapes fill a tile of registers, flat ones, of fewer rows, do not.
"""

from __future__ import annotations

from functools import partial

from codesign.answers.effects import effect, interval_of, least
from codesign.answers.frames import DENSE, OUR_DENSE, OURS, Frames, median_ms, missing
from codesign.answers.words import TIMES, shape_order
from codesign.answers.yardstick import over_best, over_best_dense, over_best_fp32
from codesign.blocks import BlockShape
from codesign.errors import MissingRecord
from codesign.measure.ratios import Interval

#: Rows of a block from which on it counts as tall.
TALL_ROWS = 4
#: What shapes are compared with beside single engines, by name.
YARDSTICKS = {"best-dense": over_best_dense, "best": over_best, "best-fp32": over_best_fp32}
#: Features of BERT-base, which the claims are about.
HIDDEN = 768


@effect("ms")
def latency(frames: Frames, engine: str, scope: str, block: str) -> float:
    """Effect: the median time of an inference, in milliseconds."""
    return median_ms(frames.latency(engine, scope, block)).value


@effect("ratio")
def speedup(frames: Frames, baseline: str, scope: str, block: str) -> Interval:
    """Effect: how many times our sparse engine is faster than a dense one."""
    return frames.speedup((baseline, *DENSE), (OURS, scope, block))


@effect("ratio")
def over_same_weights(frames: Frames, peer: str, scope: str, block: str) -> Interval:
    """Effect: how many times ours is faster than a sparse engine by others, on the same pruned weights."""
    return frames.speedup((peer, scope, block), (OURS, scope, block))


@effect("ratio")
def dense_over(frames: Frames, peer: str) -> Interval:
    """Effect: how many times our compiler's dense engine is faster than one by others."""
    return frames.speedup((peer, *DENSE), (OUR_DENSE, *DENSE))


@effect("ratio")
def lead(frames: Frames, scope: str, block: str) -> Interval:
    """Effect: time of the closest other shape over that of ``block``; above one where ``block`` beats them all."""
    frames.latency(OURS, scope, block)
    others = [other for other in frames.shapes(scope) if other != block]
    if not others:
        raise missing("latency", scope=scope, block=f"not {block}")
    return least(_over(frames, scope, other, block) for other in others)


# Amdahl's law: multiply-accumulates of one layer, per token.


def attention_share(seq: int, hidden: int = HIDDEN) -> float:
    """Share of an encoder's multiply-accumulates that the attention linears (Q, K, V, output) do."""
    attention, ffn, products = 4 * hidden**2, 8 * hidden**2, 2 * seq * hidden
    return attention / (attention + ffn + products)


def amdahl_bound(sparsity: float, seq: int) -> float:
    """Largest speed-up from skipping ``sparsity`` of the attention linears, everything else unchanged."""
    return 1 / (1 - sparsity * attention_share(seq))


@effect("text")
def amdahl(frames: Frames, what: str) -> str:
    """Effect: the ``share`` of the attention linears in the work, or the ``bound`` that it sets on the speed-up."""
    if what == "share":
        return f"{attention_share(frames.seq):.0%}"
    return f"{amdahl_bound(frames.sparsity, frames.seq):.2f}{TIMES}"


@effect("share")
def share_of_bound(frames: Frames, scope: str, block: str) -> Interval:
    """Effect: time that pruning the attention weights saved, as a share of what Amdahl's law allows."""
    possible = 1 - 1 / amdahl_bound(frames.sparsity, frames.seq)
    return interval_of(lambda ratio: (1 - 1 / ratio) / possible, speedup(frames, OUR_DENSE, scope, block))


# Groups of shapes.


def tall(frames: Frames, scope: str) -> list[str]:
    """Return the measured block shapes of at least `TALL_ROWS` rows."""
    return [block for block in frames.shapes(scope) if BlockShape.parse(block).rows >= TALL_ROWS]


def flat(frames: Frames, scope: str) -> list[str]:
    """Return the measured block shapes of fewer rows, single weights among them."""
    return [block for block in frames.shapes(scope) if BlockShape.parse(block).rows < TALL_ROWS]


def ranked(frames: Frames, scope: str) -> list[str]:
    """Return the measured block shapes, the fastest first.

    Raises
    ------
    MissingRecord
        If no shape was timed.
    """
    if not (found := frames.shapes(scope)):
        raise missing("latency", engine=OURS, scope=scope)
    return sorted(found, key=lambda block: (median_ms(found[block]).value, shape_order(block)))


@effect("ratio")
def tall_close(frames: Frames, scope: str) -> Interval:
    """Effect: time of the fastest shape over that of a tall one, for the tall one where it is least."""
    best, *_ = ranked(frames, scope)
    others = [block for block in tall(frames, scope) if block != best]
    if not others:
        raise missing("latency", engine=OURS, scope=scope, block=f"at least {TALL_ROWS} rows")
    return least(_over(frames, scope, best, block) for block in others)


@effect("ratio")
def flat_behind(frames: Frames, scope: str) -> Interval:
    """Effect: time of a flat shape over that of a tall one, for the two where it is least."""
    pairs = [(slow, fast) for slow in flat(frames, scope) for fast in tall(frames, scope)]
    if not pairs:
        raise missing("latency", engine=OURS, scope=scope, block=f"fewer than {TALL_ROWS} rows")
    return least(_over(frames, scope, slow, fast) for slow, fast in pairs)


@effect("share")
def tall_slower(frames: Frames, scope: str) -> Interval:
    """Effect: how much longer the slowest tall shape takes than the fastest shape."""
    close = tall_close(frames, scope)
    return Interval(1 / close.value - 1, max(0.0, 1 / close.high - 1), 1 / close.low - 1)


@effect("text")
def shapes(frames: Frames, group: str, scope: str) -> list[str]:
    """Effect: the ``tall`` or ``flat`` shapes, the ``best``, the ``worst``, or those ``tied`` with the best."""
    order = ranked(frames, scope)
    if group == "tied":
        others = [block for block in frames.shapes(scope) if block != order[0]]
        return [order[0], *(block for block in others if _over(frames, scope, block, order[0]).low <= 1)]
    groups = {"tall": tall(frames, scope), "flat": flat(frames, scope), "best": order[:1], "worst": order[-1:]}
    return groups[group]


@effect("count")
def tall_rows(frames: Frames) -> int:
    """Effect: rows of a block from which on it counts as tall."""
    return TALL_ROWS


@effect("ms")
def shape_latency(frames: Frames, group: str, scope: str) -> float:
    """Effect: the median time of the ``best`` or the ``worst`` shape, in milliseconds."""
    return latency(frames, OURS, scope, shapes(frames, group, scope)[0])


@effect("ratio")
def shape_speedup(frames: Frames, group: str, scope: str, baseline: str) -> Interval:
    """Effect: how many times the ``best`` or the ``worst`` shape is faster than a dense engine."""
    return speedup(frames, baseline, scope, shapes(frames, group, scope)[0])


@effect("text")
def range_over(frames: Frames, group: str, scope: str, baseline: str) -> str:
    """Effect: the range of speed-ups of the shapes of a group over a dense engine, or over one of `YARDSTICKS`."""
    over = YARDSTICKS.get(baseline) or partial(_over_engine, baseline)
    gains = [over(frames, scope, block) for block in shapes(frames, group, scope)]
    if not gains:
        raise MissingRecord("latency", {"scope": scope, "block": group}, "notebook 04_latency")
    low, high = (f"{end(gain.value for gain in gains):.1f}{TIMES}" for end in (min, max))
    return low if low == high else f"{low} to {high}"


def _over_engine(baseline: str, frames: Frames, scope: str, block: str) -> Interval:
    return speedup(frames, baseline, scope, block)


def _over(frames: Frames, scope: str, slow: str, fast: str) -> Interval:
    return frames.speedup((OURS, scope, slow), (OURS, scope, fast))
