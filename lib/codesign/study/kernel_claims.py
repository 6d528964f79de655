"""What claims about single kernels rest on: effects over the `kernel` records of BERT-base's linears.

An effect about several block shapes is that of the shape where it is least; its interval is that of the least, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from codesign.blocks import DENSE
from codesign.measure.ratios import Interval
from codesign.schema import Record
from codesign.study.evidence import Evidence, missing
from codesign.study.kernel_views import Matrix, by_block, in_turns, interval, share, share_draws, winner

Effect = Callable[[Evidence], Interval]

ATTENTION, FFN_UP, FFN_DOWN = (768, 768), (3072, 768), (768, 3072)
#: Shapes with at least four rows, which a tile of registers suits; and the two that have one.
TALL = ("4x1", "8x1", "16x1", "32x1", "64x1", "4x4", "16x16", "32x32")
FLAT = ("1x1", "1x32")
#: The family that vectorises along the rows of a block, as TVM's own kernels once did.
BLOCK_ROWS = "row_tile"


def timed(evidence: Evidence, size: tuple[int, int]) -> dict[str, list[Record]]:
    """Return block shape -> finalists of the matrix of that size at the operating point, timed in turns.

    Raises
    ------
    MissingRecord
        If nothing of that size was timed.
    """
    matrix = Matrix(*size, evidence.batch * evidence.seq, evidence.isa, evidence.threads, seed=0)
    records = evidence.results.read("kernel", **matrix._asdict())
    found = in_turns(r for r in records if r["block"] == DENSE or r["sparsity"] == evidence.sparsity)
    if matrix not in found:
        raise missing("kernel", **matrix._asdict())
    return by_block(found[matrix])


def reached(sizes: Sequence[tuple[int, int]], blocks: Sequence[str]) -> Effect:
    """Effect: share of the FMA ceiling that the best hot kernel reaches, for the size and shape where it is least."""

    def effect(evidence: Evidence) -> Interval:
        found = [(timed(evidence, size), size) for size in sizes]
        best = [_best(records, block, size) for records, size in found for block in blocks]
        return _least(interval(share(record, "hot"), share_draws(record, "hot")) for record in best)

    return effect


def lead(block: str, family: str) -> Effect:
    """Effect: share of the best hot ``block`` kernel over that of the closest other shape, with one family only.

    Shapes that the family does not take have none; dense is no shape.
    """

    def effect(evidence: Evidence) -> Interval:
        found = {
            shape: [record for record in records if record["family"] == family]
            for shape, records in timed(evidence, ATTENTION).items()
        }
        mine = _best(found, block, ATTENTION, family)
        others = [winner(records, "hot") for shape, records in found.items() if records and shape not in (block, DENSE)]
        if not others:
            raise missing("kernel", family=family, block=f"not {block}")
        return _least(over(mine, other) for other in others)

    return effect


def against(block: str, other: str) -> Effect:
    """Effect: share of the best hot ``block`` kernel over that of ``other``, with all families."""

    def effect(evidence: Evidence) -> Interval:
        found = timed(evidence, ATTENTION)
        return over(_best(found, block, ATTENTION), _best(found, other, ATTENTION))

    return effect


def over(a: Record, b: Record) -> Interval:
    """Return the ratio of two shares, a / b, with its interval; both are of one session, so they share its rounds."""
    return interval(share(a, "hot") / share(b, "hot"), share_draws(a, "hot") / share_draws(b, "hot"))


def _best(found: dict[str, list[Record]], block: str, size: tuple[int, int], family: str = "any") -> Record:
    if not found.get(block):
        raise missing("kernel", outputs=size[0], inputs=size[1], block=block, family=family)
    return winner(found[block], "hot")


def _least(intervals: Iterable[Interval]) -> Interval:
    ends = np.array([(each.value, each.low, each.high) for each in intervals])
    return Interval(*(float(end) for end in ends.min(axis=0)))


#: Claim id -> statement, effect and threshold.
KERNEL_CLAIMS: tuple[tuple[str, str, Effect, float], ...] = (
    ("kernel-tall", "Every block shape of at least 4 rows reaches 85% of the FMA ceiling in a hot 768x768 kernel.",
     reached([ATTENTION], TALL), 0.85),
    ("kernel-tall-ffn", "Every block shape of at least 4 rows reaches 80% of the FMA ceiling in the feed-forward "
     "kernels, hot.", reached([FFN_UP, FFN_DOWN], TALL), 0.80),
    ("kernel-flat", "Unstructured 1x1 and 1x32 reach 40% of the FMA ceiling in a hot 768x768 kernel.",
     reached([ATTENTION], FLAT), 0.40),
    ("rows-only", "With block-row vectorisation alone, 32x1 is the fastest shape of a hot 768x768 kernel.",
     lead("32x1", BLOCK_ROWS), 1.0),
    ("all-families", "With all families, a hot 768x768 kernel with 4x1 blocks is within 10% of one with 32x1 blocks.",
     against("4x1", "32x1"), 0.9),
)  # fmt: skip
