"""Patterns inside blocks, and places of blocks: what each variant of a kernel takes over full blocks at random columns.

Times are compared round by round, since the rounds of a session go through all variants.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

from codesign.answers.effects import closeness, effect, interval, least
from codesign.answers.frames import Frames, missing, where
from codesign.answers.kernels import STATES, State, resampled
from codesign.answers.words import shape_order
from codesign.measure.ratios import Interval
from codesign.schema import Record

SIZES = ((768, 768), (3072, 768))
BLOCKS = ("4x1", "32x1", "1x32", "16x16")
_KERNEL = ["outputs", "inputs", "block"]


def over(a: Record, b: Record, state: State) -> Interval:
    """Return the ratio of two times of one session, a / b: the median over rounds, with a bootstrap interval."""
    return _median(_ratios(a, b, state))


def _ratios(a: Record, b: Record, state: State) -> np.ndarray:
    return np.asarray(a[f"{state}_ns"]) / np.asarray(b[f"{state}_ns"])


def _median(rounds: np.ndarray) -> Interval:
    return interval(float(np.median(rounds)), resampled(rounds))


def newest(variants: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the newest session of each matrix and block shape, in the order of both.

    Returns
    -------
    pandas.DataFrame
        With ``question``, which one a variant is about: "inside", "where", or "both" for the control.
    """
    last = variants.groupby(_KERNEL)["session_id"].transform("last")
    rows = variants[variants["session_id"] == last]
    about = np.where(rows["inside"] != "full", "inside", "where")
    rows = rows.assign(question=np.where(rows["control"].notna(), "both", about), order=rows["block"].map(shape_order))
    return rows.sort_values(["outputs", "inputs", "order"], kind="stable")


def compared(variants: pd.DataFrame) -> pd.DataFrame:
    """Compare every variant with full blocks at random columns.

    Parameters
    ----------
    variants
        The frame of `variant` records.

    Returns
    -------
    pandas.DataFrame
        `newest` without what is compared with, and ``size``, ``variant`` (what sets it apart), ``hot`` and ``cold``
        (`Interval`).
    """
    rows = newest(variants)
    plain = (rows["inside"] == "full") & (rows["where"] == "random") & rows["control"].isna()
    base = rows.loc[plain, [*_KERNEL, "record"]]
    rows = rows[~plain].merge(base, on=_KERNEL, how="left", suffixes=("", "_base"))
    pairs = list(zip(rows["record"], rows["record_base"], strict=True))
    named = rows["inside"].where(rows["inside"] != "full", rows["where"])
    return rows.assign(
        size=rows["outputs"].astype(str) + "x" + rows["inputs"].astype(str),
        variant=named.where(rows["control"].isna(), "again (A/A)"),
        hot=[over(*pair, "hot") for pair in pairs],
        cold=[over(*pair, "cold") for pair in pairs],
    )


def _variants(frames: Frames) -> pd.DataFrame:
    """Return the variants of every kernel that the claims are about."""
    load = {"tokens": frames.batch * frames.seq, "threads": frames.threads, "isa": frames.isa}
    rows = where(frames.all("variant"), **load, seed=0, sparsity=frames.sparsity)
    wanted = [(*size, block) for size, block in product(SIZES, BLOCKS)]
    kernels = list(rows[_KERNEL].itertuples(index=False, name=None))
    for kernel in wanted:
        if kernel not in kernels:
            raise missing("variant", **dict(zip(_KERNEL, kernel, strict=True)))
    return rows[[kernel in wanted for kernel in kernels]]


@effect("ratio")
def patterns_inside(frames: Frames) -> Interval:
    """Effect: how near to one the ratio is that is farthest off, of all patterns inside blocks, shapes and states."""
    rows = where(compared(_variants(frames)), question="inside")
    return least(closeness(ratio) for state in STATES for ratio in rows[state])


@effect("ratio")
def patterns_where(frames: Frames) -> Interval:
    """Effect: the time of the slowest place over that of the fastest, for the kernel and state that mind most.

    Even rounds choose the two, odd rounds tell.
    """
    places = where(newest(_variants(frames)), question="where")
    pairs = (
        _ratios(slow, fast, state)
        for _, same in places.groupby(_KERNEL, sort=False)
        for slow, fast, state in product(same["record"], same["record"], STATES)
    )
    return _median(max(pairs, key=lambda ratios: float(np.median(ratios[::2])))[1::2])
