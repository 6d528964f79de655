"""What may be concluded from latency records: medians and ratios of medians, with bootstrap intervals.

The samples of one round are neighbours in time and resemble each other, so whole rounds are resampled, not samples.
Engines of one session are resampled together: what slowed a round for all of them cancels in their ratio.
A process keeps for life where its memory happened to lie, which no number of rounds shows. The A/A control measures
what that makes of one engine in two processes; every ratio of two records is widened by it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codesign.errors import InputError
from codesign.schema import POINT

_RESAMPLES = 2000
_TOLERANCE = 0.10  # of a time among the others against that alone, and of an engine against itself
_POWERS = (1, -1, -1, 1)  # of a, b and the references of their sessions, in a ratio

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval."""

    value: float
    low: float
    high: float

    def covers(self, value: float) -> bool:
        """Whether `value` lies within the interval, ends included."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Ratio(Interval):
    """A ratio of medians; `indirect` when its records were not timed in one session."""

    indirect: bool


def median(record: Record, *, confidence: float = 0.95, seed: int = 0) -> Interval:
    """Median latency of one record, in ns; the interval is that of this process, and says nothing of another one."""
    draws = _Bootstrap(seed).medians(record)
    return Interval(float(np.median(_samples(record))), *_ends(draws, confidence))


def ratio(
    a: Record, b: Record, *, via: tuple[Record, Record] | None = None, confidence: float = 0.95, seed: int = 0
) -> Ratio:
    """Ratio of the median latencies of two records, a / b: how many times faster b is.

    Parameters
    ----------
    a, b
        Latency records with samples, of one machine.
    via
        Records of one reference engine in the sessions of `a` and of `b`. For records of different sessions: the
        ratio is then (a / via[0]) / (b / via[1]), in which a drift between the sessions cancels.
    confidence
        Probability that the interval is meant to have.
    seed
        Seed of the bootstrap.

    Raises
    ------
    InputError
        When the records come from different machines or measurement versions, or one has no samples.
    """
    plain = _within(a, b, via=via, confidence=confidence, seed=seed)
    spread = spread_between(a, b, via=via)
    return Ratio(plain.value, plain.low / spread, plain.high * spread, plain.indirect)


def spread_between(a: Record, b: Record, *, via: tuple[Record, Record] | None = None) -> float:
    """How far the ratio of two records may be off, as a factor, because each engine had one process only.

    Parameters
    ----------
    a, b, via
        As for `ratio`. Through references it is a ratio of two ratios, and each brings the spread of its own session.

    Returns
    -------
    float
        At least 1, which it is for records that say nothing of it.
    """
    spread = 1.0
    for one, other in ((a, via[0]), (b, via[1])) if via else ((a, b),):
        if one is not other:  # a process does not differ from itself
            spread *= max(one.get("process_spread", 1.0), other.get("process_spread", 1.0))
    return spread


def process_spread(records: Sequence[Record]) -> float:
    """Factor by which two processes of one engine differ in a session, from its A/A control: at least 1.

    It is 1 where there is no control, which `doubts` reports.
    """
    ratios = [_within(twin, control).value for twin, control in _controlled(records)]
    return max((max(value, 1 / value) for value in ratios), default=1.0)


def _within(
    a: Record, b: Record, *, via: tuple[Record, Record] | None = None, confidence: float = 0.95, seed: int = 0
) -> Ratio:
    """Return the ratio of these very processes, as if any other would do the same."""
    records = (a, b, *(via or ()))
    for one, other in itertools.pairwise(records):
        if one["machine_id"] != other["machine_id"]:
            raise InputError("machine_id", other["machine_id"], f"records of one machine, {one['machine_id']}")
        if one.get("measurement") != other.get("measurement"):
            raise InputError("measurement", other.get("measurement"), f"version {one.get('measurement')}, as the other")
    value = 1.0
    for record, power in zip(records, _POWERS, strict=False):
        value *= float(np.median(_samples(record))) ** power
    draws = _draws(records, seed)
    return Ratio(value, *_ends(draws, confidence), indirect=a["session_id"] != b["session_id"])


def ratio_draws(a: Record, b: Record, *, seed: int = 0) -> np.ndarray:
    """Bootstrap draws of the ratio of two records of one session, a / b, float64[2000].

    For what is computed from several ratios: each draw of the one goes with the same draw of the others. They are the
    draws of these very processes; what other processes would do is for the caller to add (`spread_between`).

    Raises
    ------
    InputError
        When the records come from different sessions, or one has no samples.
    """
    if a["session_id"] != b["session_id"]:
        raise InputError("session_id", b["session_id"], f"records of one session, {a['session_id']}")
    return _draws((a, b), seed)


def doubts(records: Sequence[Record]) -> list[str]:
    """Reasons not to trust a session, given all of its records; empty when there are none.

    A session is doubtful when its engines took another time among the others than alone, or when an engine differs from
    itself (the A/A control) by more than is allowed there. A smaller difference between two processes of one engine is
    nothing that a repetition would cure: it widens every ratio of the session (`process_spread`).
    """
    timed = [record for record in records if record["status"] == "ok"]
    pairs = _controlled(records)
    reasons = [] if pairs else ["no A/A control"]
    for twin, control in pairs:
        same = _within(twin, control)
        if same.low > 1 + _TOLERANCE or same.high < 1 / (1 + _TOLERANCE):
            reasons.append(f"A/A control: {control['engine']} / itself in [{same.low:.3f}, {same.high:.3f}]")
    for record in timed:
        shift = float(np.median(record["samples_ns"]) / np.median(record["solo_ns"])) - 1
        if abs(shift) > _TOLERANCE:
            reasons.append(f"{record['engine']} {record['scope']} {record['block']}: {shift:+.0%} against alone")
    return reasons


def _controlled(records: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Pairs of an engine and its control among the records of a session, both timed."""
    timed = [record for record in records if record["status"] == "ok"]
    return [(twin, control) for control in timed for twin in timed if _controls(control, twin)]


def _controls(control: Record, twin: Record) -> bool:
    same = all(control[field] == twin[field] for field in ("engine", *POINT))
    return same and control["control"] is not None and twin["control"] is None


def _draws(records: Sequence[Record], seed: int) -> np.ndarray:
    bootstrap, draws = _Bootstrap(seed), np.ones(_RESAMPLES)
    for record, power in zip(records, _POWERS, strict=False):
        draws *= bootstrap.medians(record) ** power
    return draws


class _Bootstrap:
    """Draws of medians; records of one session with equally many rounds see the same drawn rounds."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._drawn: dict[tuple[str, int], np.ndarray] = {}

    def medians(self, record: Record) -> np.ndarray:
        """Median of each resample, float64[_RESAMPLES]."""
        samples, ends = _samples(record), np.cumsum(record["rounds"])
        rounds = np.full((len(ends), max(record["rounds"])), np.nan)
        for row, part in zip(rounds, np.split(samples, ends[:-1]), strict=True):
            row[: len(part)] = part
        key = (record["session_id"], len(ends))
        if key not in self._drawn:
            self._drawn[key] = self._rng.integers(len(ends), size=(_RESAMPLES, len(ends)))
        pooled = rounds[self._drawn[key]].reshape(_RESAMPLES, -1)
        return (np.nanmedian if np.isnan(rounds).any() else np.median)(pooled, axis=1)  # the latter is much faster


def _samples(record: Record) -> np.ndarray:
    if not record["samples_ns"]:
        raise InputError("record", f"{record['engine']} {record['block']}", "a latency record with samples")
    return np.asarray(record["samples_ns"], dtype=np.float64)


def _ends(draws: np.ndarray, confidence: float) -> tuple[float, float]:
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
