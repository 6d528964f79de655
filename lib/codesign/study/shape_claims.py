"""What claims about groups of block shapes rest on: tall ones, which fill a tile of registers, and flat ones.

One shape is always fastest; whether the others lose by much is another question, and the one that a pruner asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from codesign.answers.words import TIMES, shape_order, times
from codesign.blocks import BlockShape
from codesign.errors import MissingRecord
from codesign.measure.ratios import Interval
from codesign.study.evidence import DENSE, OURS, Evidence, Key, median_ms, missing
from codesign.study.peer_claims import over_best_dense

Effect = Callable[[Evidence], Interval]

#: Rows of a block from which on it counts as tall.
TALL_ROWS = 4


def tall(evidence: Evidence, scope: str) -> list[str]:
    """Return the measured block shapes of at least `TALL_ROWS` rows."""
    return [block for block in sorted(evidence.shapes(scope), key=shape_order) if _is_tall(block)]


def flat(evidence: Evidence, scope: str) -> list[str]:
    """Return the measured block shapes of fewer rows, single weights among them."""
    return [block for block in sorted(evidence.shapes(scope), key=shape_order) if not _is_tall(block)]


def _is_tall(block: str) -> bool:
    return BlockShape.parse(block).rows >= TALL_ROWS


def fastest(evidence: Evidence, scope: str) -> str:
    """Return the measured block shape with the smallest median.

    Raises
    ------
    MissingRecord
        If no shape was timed.
    """
    if not (found := evidence.shapes(scope)):
        raise missing("latency", engine=OURS, scope=scope)
    return min(found, key=lambda block: (median_ms(found[block]).value, shape_order(block)))


def close(scope: str) -> Effect:
    """Effect: time of the fastest shape over that of a tall one, for the tall one where it is least."""

    def effect(evidence: Evidence) -> Interval:
        best = fastest(evidence, scope)
        others = [block for block in tall(evidence, scope) if block != best]
        if not others:
            raise missing("latency", engine=OURS, scope=scope, block=f"at least {TALL_ROWS} rows")
        return _least(_over(evidence, scope, best, block) for block in others)

    return effect


def behind(scope: str) -> Effect:
    """Effect: time of a flat shape over that of a tall one, for the two where it is least."""

    def effect(evidence: Evidence) -> Interval:
        pairs = [(slow, fast) for slow in flat(evidence, scope) for fast in tall(evidence, scope)]
        if not pairs:
            raise missing("latency", engine=OURS, scope=scope, block=f"fewer than {TALL_ROWS} rows")
        return _least(_over(evidence, scope, slow, fast) for slow, fast in pairs)

    return effect


def tied(evidence: Evidence, scope: str) -> list[str]:
    """Return the fastest shape and those whose ratio to it has an interval that covers one."""
    best = fastest(evidence, scope)
    others = [block for block in sorted(evidence.shapes(scope), key=shape_order) if block != best]
    return [best, *(block for block in others if _over(evidence, scope, block, best).low <= 1)]


def _over(evidence: Evidence, scope: str, slow: str, fast: str) -> Interval:
    return evidence.speedup((OURS, scope, slow), (OURS, scope, fast))


def _least(found: Iterable[Interval]) -> Interval:
    intervals = list(found)
    return Interval(*(min(getattr(each, end) for each in intervals) for end in ("value", "low", "high")))


def shape_numbers(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yield which shapes are tall, flat or tied, how far they lie apart and what they gain, as key and text."""
    yield "tall.rows", str(TALL_ROWS)
    for scope in ("attention", "ffn", "all"):
        for name, blocks in (("tall", tall(evidence, scope)), ("flat", flat(evidence, scope))):
            if blocks:
                yield f"{name}.{scope}.blocks", listed(blocks)
                yield from _gains(evidence, f"{name}.{scope}.over", scope, blocks)
        if evidence.shapes(scope):
            yield f"tied.{scope}.blocks", listed(tied(evidence, scope))
        try:
            ratio = close(scope)(evidence)
            yield f"tall.{scope}.slower", "{:.0%} ({:.0%} to {:.0%})".format(*_slower(ratio))
            yield f"flat.{scope}.behind", times(behind(scope)(evidence))
        except MissingRecord:
            continue


def _gains(evidence: Evidence, key: str, scope: str, blocks: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the range of medians over the same compiler on dense weights, and over the best dense engine of others."""
    dense: Key = ("tvm-dense", *DENSE)
    effects: dict[str, Callable[[str], Interval]] = {
        "tvm-dense": lambda block: evidence.speedup(dense, (OURS, scope, block)),
        "best-dense": lambda block: over_best_dense(scope, block)(evidence),
    }
    for name, effect in effects.items():
        try:
            found = [effect(block).value for block in blocks]
        except MissingRecord:
            continue
        low, high = (f"{end:.1f}{TIMES}" for end in (min(found), max(found)))
        yield f"{key}.{name}", low if low == high else f"{low} to {high}"


def _slower(ratio: Interval) -> tuple[float, float, float]:
    """Turn a share of speed, at most about one, into how much longer it takes."""
    return 1 / ratio.value - 1, max(0.0, 1 / ratio.high - 1), 1 / ratio.low - 1


def listed(words: list[str]) -> str:
    """Join words as a sentence does: ``"a, b and c"``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


#: Claim id -> statement, effect of a scope, the scope, and the threshold. All shapes of a scope share a session.
SHAPE_CLAIMS: tuple[tuple[str, str, Callable[[str], Effect], str, float], ...] = (
    ("tall-attention", f"Every measured block shape of at least {TALL_ROWS} rows runs at 95% of the speed of the "
     "fastest, or more; attention weights pruned.", close, "attention", 0.95),
    ("tall-all", f"Every measured block shape of at least {TALL_ROWS} rows runs at 80% of the speed of the fastest, "
     "or more; all encoder weights pruned.", close, "all", 0.8),
    ("flat-all", f"Every measured block shape of at least {TALL_ROWS} rows is at least 1.5 times as fast as any of "
     "fewer rows; all encoder weights pruned.", behind, "all", 1.5),
)  # fmt: skip
