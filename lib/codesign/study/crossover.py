"""From which sparsity do sparse kernels pay? Gains over the best dense engine, and where they cross one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from codesign.bsr import MIN_BLOCK_SPARSITY
from codesign.engines import ENGINES, SPARSE
from codesign.measure.ratios import Interval, Ratio, ratio, ratio_draws, spread_between
from codesign.schema import Record
from codesign.study.evidence import OURS

#: Sparsities at which the table says how much is gained.
SHOWN = (0.8, 0.9)


@dataclass(frozen=True)
class Gain:
    """A sparse encoder beside the fastest dense float32 engine of its session."""

    sparse: Record
    dense: Record

    @property
    def sparsity(self) -> float:
        """Share of blocks that were asked to be removed."""
        return float(self.sparse["sparsity"])

    @cached_property
    def ratio(self) -> Ratio:
        """How many times faster the sparse encoder is."""
        return ratio(self.dense, self.sparse)

    def relative_times(self, seed: int) -> np.ndarray:
        """Bootstrap draws of the sparse time, in units of the dense one."""
        return ratio_draws(self.sparse, self.dense, seed=seed)

    @property
    def spread(self) -> float:
        """Factor by which other processes of the two engines might differ from that."""
        return spread_between(self.sparse, self.dense)


@dataclass(frozen=True)
class Crossover:
    """What one block shape gains in one model.

    Parameters
    ----------
    model, block
        Which.
    gains
        At least one, each at another sparsity, ascending.
    start
        From which sparsity on sparse beats dense, with its 95% interval: minus infinity where it already does at the
        lowest sparsity measured, infinity where it does not even at the highest.
    """

    model: str
    block: str
    gains: tuple[Gain, ...]
    start: Interval

    def at(self, sparsity: float) -> Ratio | None:
        """The gain at a sparsity; None where it was not measured."""
        return next((gain.ratio for gain in self.gains if gain.sparsity == sparsity), None)

    def start_text(self) -> str:
        """Say the start in words: ``"72% (70% to 74%)"``, ``"below 50%"``, ``"never up to 95%"``."""
        value, low, high = (self._text(end) for end in (self.start.value, self.start.low, self.start.high))
        return value if low == value == high else f"{value} ({low} to {high})"

    def _text(self, sparsity: float) -> str:
        if math.isfinite(sparsity):
            return f"{sparsity:.0%}"
        lowest, highest = self.gains[0].sparsity, self.gains[-1].sparsity
        return f"below {lowest:.0%}" if sparsity < 0 else f"never up to {highest:.0%}"


def gains(records: Iterable[Record]) -> list[Gain]:
    """Relate every sparse encoder of ours to the fastest dense float32 engine of its session.

    Left out is what failed, has no such engine beside it, or is stored whole for want of zeros.
    """
    sessions: dict[str, list[Record]] = {}
    for record in records:
        if record["status"] == "ok" and not record["control"]:
            sessions.setdefault(record["session_id"], []).append(record)
    found = []
    for session in sessions.values():
        dense = [r for r in session if r["engine"] not in SPARSE and ENGINES[r["engine"]].format == "fp32"]
        if dense:
            fastest = min(dense, key=lambda record: float(np.median(record["samples_ns"])))
            sparse = [r for r in session if r["engine"] == OURS and r["sparsity"] >= MIN_BLOCK_SPARSITY]
            found += [Gain(record, fastest) for record in sparse]
    return found


def crossovers(records: Iterable[Record]) -> list[Crossover]:
    """Return the crossover of every model and block shape among latency records of one load, scope and pruner.

    Of several records at one sparsity the last counts.
    """
    curves: dict[tuple[str, str], dict[float, Gain]] = {}
    for gain in gains(records):
        curve = curves.setdefault((gain.sparse["model"], gain.sparse["block"]), {})
        curve[gain.sparsity] = gain
    ordered = {key: tuple(curve[sparsity] for sparsity in sorted(curve)) for key, curve in curves.items()}
    return [Crossover(*key, curve, _start(curve)) for key, curve in ordered.items()]


def crossing(sparsities: Sequence[float], relative_times: Sequence[float]) -> float:
    """Return the sparsity from which on the relative time stays below one.

    Between neighbouring sparsities, the relative time is taken to be linear: so is the work of a sparse kernel.

    Parameters
    ----------
    sparsities
        Ascending.
    relative_times
        Sparse time over dense time at each.

    Returns
    -------
    float
        Minus infinity where all are below one, infinity where the last one is not.
    """
    losses = [index for index, time in enumerate(relative_times) if time >= 1]
    if not losses:
        return -math.inf
    last = losses[-1]
    if last == len(relative_times) - 1:
        return math.inf
    (left, right), (before, after) = sparsities[last : last + 2], relative_times[last : last + 2]
    return left + (right - left) * (before - 1) / (before - after)


def _start(curve: Sequence[Gain]) -> Interval:
    """Where a curve crosses one, with its interval; sessions are resampled each by itself."""
    sparsities = [gain.sparsity for gain in curve]
    value = crossing(sparsities, [1 / gain.ratio.value for gain in curve])
    draws = np.stack([gain.relative_times(seed) for seed, gain in enumerate(curve)], axis=1)
    spread = np.array([gain.spread for gain in curve])  # a slower kernel never pays earlier, so the ends go together
    early, late = (
        sorted(crossing(sparsities, draw) for draw in each.tolist()) for each in (draws / spread, draws * spread)
    )
    cut = int(0.025 * len(early))  # not numpy's quantile, which is not a number where it averages infinities
    return Interval(value, early[cut], late[-1 - cut])
