"""What may be concluded from latency records: medians and ratios of medians, with bootstrap intervals.

The samples of one round are neighbours in time and resemble each other, so whole rounds are resampled, not samples.
Engines of one session are resampled together: what slowed a round for all of them cancels in their ratio.
A process keeps for life where its memory happened to lie, which no number of rounds shows. The A/A control measures
what that makes of one engine in two processes; every ratio of two records is widened by it.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codesign.errors import InputError
from codesign.schema import POINT

_RESAMPLES, _CONFIDENCE = 2000, 0.95
_TOLERANCE = 0.10  # of a time among the others against that alone, and of an engine against itself
_POWERS = (1, -1, -1, 1)  # of a, b and the references of their sessions, in a ratio

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95% confidence interval."""

    value: float
    low: float
    high: float

    def covers(self, value: float) -> bool:
        """Whether `value` lies within the interval, ends included."""
        return self.low <= value <= self.high


def median(record: Record) -> Interval:
    """Median latency of one record, in ns; the interval is that of this process, and says nothing of another one."""
    return _within(record)


def ratio(a: Record, b: Record, *, via: tuple[Record, Record] | None = None) -> Interval:
    """Ratio of the median latencies of two records, a / b: how many times faster b is.

    Parameters
    ----------
    a, b
        Latency records with samples, of one machine.
    via
        Records of one reference engine in the sessions of `a` and of `b`. For records of different sessions: the
        ratio is then (a / via[0]) / (b / via[1]), in which a drift between the sessions cancels.

    Raises
    ------
    InputError
        When the records come from different machines or measurement versions, or one has no samples.
    """
    plain, spread = _within(a, b, *(via or ())), spread_between(a, b, via=via)
    return Interval(plain.value, plain.low / spread, plain.high * spread)


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
    pairs = _controlled(records)
    reasons = [] if pairs else ["no A/A control"]
    for twin, control in pairs:
        same = _within(twin, control)
        if same.low > 1 + _TOLERANCE or same.high < 1 / (1 + _TOLERANCE):
            reasons.append(f"A/A control: {control['engine']} / itself in [{same.low:.3f}, {same.high:.3f}]")
    for record in (record for record in records if record["status"] == "ok"):
        shift = float(np.median(record["samples_ns"]) / np.median(record["solo_ns"])) - 1
        if abs(shift) > _TOLERANCE:
            reasons.append(f"{record['engine']} {record['scope']} {record['block']}: {shift:+.0%} against alone")
    return reasons


def _controlled(records: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Pairs of an engine and its control among the records of a session, both timed."""
    timed = [record for record in records if record["status"] == "ok"]
    return [
        (twin, control)
        for control in timed
        for twin in timed
        if control["control"] is not None and twin["control"] is None
        if all(control[field] == twin[field] for field in ("engine", *POINT))
    ]


def _within(*records: Record) -> Interval:
    """The median of one record, or the ratio of two to four: of these very processes, as if any other did the same."""
    for one, other in itertools.pairwise(records):
        if one["machine_id"] != other["machine_id"]:
            raise InputError("machine_id", other["machine_id"], f"records of one machine, {one['machine_id']}")
        if one.get("measurement") != other.get("measurement"):
            raise InputError("measurement", other.get("measurement"), f"version {one.get('measurement')}, as the other")
    medians = zip(map(np.median, map(_samples, records)), _POWERS, strict=False)
    value = math.prod(float(each) ** power for each, power in medians)
    low, high = np.quantile(_draws(records), [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return Interval(value, float(low), float(high))


def _draws(records: Sequence[Record], seed: int = 0) -> np.ndarray:
    """Draws of `_within`; records of one session with equally many rounds see the same drawn rounds."""
    draws, sessions = np.ones(_RESAMPLES), list[tuple[str, int]]()
    for record, power in zip(records, _POWERS, strict=False):
        session = record["session_id"], len(record["rounds"])
        sessions += [session] if session not in sessions else []
        before = tuple(rounds for _, rounds in sessions[: sessions.index(session) + 1])
        draws *= _medians(tuple(_samples(record)), tuple(record["rounds"]), seed, before) ** power
    return draws


@functools.lru_cache(maxsize=64)
def _drawn(seed: int, sessions: tuple[int, ...]) -> np.ndarray:
    """How often each round of the last of several sessions of so many rounds was drawn, float32[_RESAMPLES, rounds]."""
    rng = np.random.default_rng(seed)
    for rounds in sessions:
        drawn = rng.integers(rounds, size=(_RESAMPLES, rounds))
    cells = drawn + rounds * np.arange(_RESAMPLES)[:, None]
    return np.bincount(cells.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float32)


@functools.lru_cache(maxsize=1024)
def _medians(samples: tuple[float, ...], rounds: tuple[int, ...], seed: int, sessions: tuple[int, ...]) -> np.ndarray:
    """Median of each resample, float64[_RESAMPLES]: every drawn round brings all of its samples.

    How many of the drawn samples are among the smallest so many is a product of matrices, which is much faster than to
    sort what was drawn.
    """
    order = np.argsort(samples)
    mine = np.repeat(np.arange(len(rounds)), rounds)[order] == np.arange(len(rounds))[:, None]
    below = _drawn(seed, sessions) @ mine.cumsum(axis=1, dtype=np.float32)  # counts: exact in float32
    count = below[:, -1:]
    ranks = [(below > middle).argmax(axis=1) for middle in ((count - 1) // 2, count // 2)]
    low, high = np.asarray(samples, dtype=np.float64)[order][ranks]
    return (low + high) / 2


def _samples(record: Record) -> np.ndarray:
    if not record["samples_ns"]:
        raise InputError("record", f"{record['engine']} {record['block']}", "a latency record with samples")
    return np.asarray(record["samples_ns"], dtype=np.float64)
