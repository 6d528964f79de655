"""Single kernels: the best schedule of each block shape and family, and the share of the peak that it reaches.

The fastest of many is partly the luckiest of many (the winner's curse). So even rounds choose, and odd rounds tell
(`codesign.study.kernels`).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np
import pandas as pd

from codesign.answers.effects import effect, interval, least
from codesign.answers.frames import Frames, missing, where
from codesign.answers.words import shape_order
from codesign.blocks import DENSE
from codesign.measure.ratios import Interval
from codesign.schema import Record

#: Whether a kernel finds its weights in a cache, from the call before, or not.
State = Literal["hot", "cold"]
STATES: tuple[State, State] = ("hot", "cold")
#: What is the same for all block shapes that were timed in turns: the matrix, the load and the target.
MATRIX = ["outputs", "inputs", "tokens", "isa", "threads", "seed", "format"]
#: Shapes with at least four rows, which a tile of registers suits; and the two that have one.
GROUPS = {
    "tall": ("4x1", "8x1", "16x1", "32x1", "64x1", "4x4", "16x16", "32x32"),
    "flat": ("1x1", "1x32"),
}
#: Outputs and inputs of the linears of BERT-base.
SIZES = {"attention": ((768, 768),), "ffn": ((3072, 768), (768, 3072))}
_RESAMPLES = 2000


def shares(record: Record, state: State) -> np.ndarray:
    """Share of the peak that a kernel reached in each round, float64[rounds]: a drift of the clock cancels.

    Zeros that are skipped do not count as work.
    """
    return record["flops"] / np.asarray(record[f"{state}_ns"]) / np.asarray(record["peak_gflops"])


def share(record: Record, state: State) -> float:
    """Median share of the rounds that tell."""
    return float(statistics.median(shares(record, state)[1::2]))


def resampled(rounds: np.ndarray) -> np.ndarray:
    """Bootstrap draws of a median, float64[2000]; samples of one session see the same drawn rounds."""
    drawn = np.random.default_rng(0).integers(len(rounds), size=(_RESAMPLES, len(rounds)))
    return np.median(rounds[drawn], axis=1)


def over(a: Record, b: Record) -> Interval:
    """Return the ratio of the hot shares of two kernels of one session, a / b."""
    draws_a, draws_b = (resampled(shares(record, "hot")[1::2]) for record in (a, b))
    return interval(share(a, "hot") / share(b, "hot"), draws_a / draws_b)


def in_turns(kernels: pd.DataFrame) -> pd.DataFrame:
    """Return the timed rows of each matrix that belong together: of the session with the most block shapes.

    Of several such sessions the newest counts. Matrices keep their order, and block shapes have theirs, dense first.
    """
    timed = where(kernels, stage="timed", status="ok")
    timed = timed.assign(
        matrix=timed.groupby(MATRIX, sort=False).ngroup(),
        size=timed["outputs"].astype(str) + "x" + timed["inputs"].astype(str),
        order=timed["block"].map(shape_order),
    )
    shapes = timed.groupby(["matrix", "session_id"])["block"].transform("nunique")
    fullest = timed[shapes == shapes.groupby(timed["matrix"]).transform("max")]
    last = fullest.groupby("matrix")["session_id"].transform("last")
    return fullest[fullest["session_id"] == last].sort_values(["matrix", "order"], kind="stable")


def winners(timed: pd.DataFrame, state: State, by: Sequence[str] = ("block",)) -> pd.DataFrame:
    """Return the row of each matrix and block shape that the even rounds choose, with the ``share`` that odd ones tell.

    Parameters
    ----------
    timed
        From `in_turns`.
    state
        Whether hot or cold rounds count.
    by
        Columns of which each combination has its own winner.
    """
    chosen = pd.Series([statistics.median(shares(record, state)[::2]) for record in timed["record"]], timed.index)
    best = timed.loc[chosen.groupby([timed[name] for name in ("matrix", *by)], sort=False).idxmax()]
    return best.assign(share=[share(record, state) for record in best["record"]])


def hot_and_cold(timed: pd.DataFrame) -> pd.DataFrame:
    """Return the best hot kernel of each matrix and block shape, and the shares hot and cold.

    Columns: ``hot``; ``cold``, of the best cold kernel; ``gflops``, useful work a second in billions, in odd rounds.
    """
    best = {state: winners(timed, state) for state in STATES}
    rate = [record["flops"] / np.median(record["hot_ns"][1::2]) for record in best["hot"]["record"]]
    return best["hot"].assign(hot=best["hot"]["share"], cold=best["cold"]["share"].to_numpy(), gflops=rate)


@cache
def hot_winners(frames: Frames, size: tuple[int, int], **only: object) -> dict[str, Record]:
    """Return block shape -> best hot kernel of the matrix of that size at the operating point; ``only`` these rows.

    Raises
    ------
    MissingRecord
        If nothing of that size was timed.
    """
    matrix = dict(zip(MATRIX, (*size, frames.batch * frames.seq, frames.isa, frames.threads, 0, "fp32"), strict=True))
    rows = where(frames.all("kernel"), **matrix)
    timed = in_turns(rows[(rows["block"] == DENSE) | (rows["sparsity"] == frames.sparsity)])
    if not len(timed):
        raise missing("kernel", **matrix)
    best = winners(where(timed, **only), "hot")
    return dict(zip(best["block"], best["record"], strict=True))


def _of(best: dict[str, Record], block: str, **about: object) -> Record:
    if block not in best:
        raise missing("kernel", block=block, **about)
    return best[block]


@effect("share")
def kernel_reached(frames: Frames, group: str, linears: str) -> Interval:
    """Effect: share of the FMA ceiling that the best hot kernel reaches, for the size and shape where it is least."""
    best = [
        _of(found, block, outputs=size[0], inputs=size[1])
        for size in SIZES[linears]
        for found in [hot_winners(frames, size)]
        for block in GROUPS[group]
    ]
    return least(interval(share(record, "hot"), resampled(shares(record, "hot")[1::2])) for record in best)


@effect("ratio")
def kernel_lead(frames: Frames, block: str, family: str) -> Interval:
    """Effect: share of the best hot ``block`` kernel over that of the closest other shape, with one family only.

    Shapes that the family does not take have none; dense is no shape.
    """
    best = hot_winners(frames, *SIZES["attention"], family=family)
    mine = _of(best, block, family=family)
    others = [record for shape, record in best.items() if shape not in (block, DENSE)]
    if not others:
        raise missing("kernel", family=family, block=f"not {block}")
    return least(over(mine, other) for other in others)


@effect("ratio")
def kernel_over(frames: Frames, block: str, other: str) -> Interval:
    """Effect: share of the best hot ``block`` kernel over that of ``other``, with all families."""
    best = hot_winners(frames, *SIZES["attention"])
    return over(_of(best, block), _of(best, other))
