"""In what company engines are timed: how fast this machine is right now, apart from any engine.

On a shared machine a virtual core is moved about. Two of them may lie on different caches for half a minute, or share
one core, or have a neighbour on theirs; arithmetic and memory are then as fast as before, and an encoder is not.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from codesign import machine
from codesign.engines.client import Process
from codesign.measure.protocol import SPIN_S

#: Lowest share of the best rate between cores that is undisturbed. Where this was set up, cores on different L3 caches
#: passed data on at less than 0.45 of it, and cores on one L3 at more than 0.7.
NEAR = 0.55
#: The same for L2. Threads that share a core get half of it each, and less; a core of one's own gives more than 0.75.
OWN = 0.6
#: The best is what so many looks reached, and this share of them: lucky ones must not make all others disturbed.
_OFTEN, _SHARE = 3, 0.02
_PAUSE_S = 0.3  # long enough for a hypervisor to use the rest and move a core

#: Between cores, and the slowest L2; None where there is no such rate.
Pair = tuple[float | None, float | None]
Timed = TypeVar("Timed")


@dataclass(frozen=True)
class Look:
    """How fast cores pass data on, None for one thread; and each core its L2 while all read, in GB/s."""

    between_cores: float | None
    l2: tuple[float, ...]

    @property
    def pair(self) -> Pair:
        """The two rates that the rule compares."""
        return self.between_cores, min(self.l2, default=None)

    def worse(self, other: Look) -> Look:
        """The lower of each rate, for something that lies between two looks."""
        known = [rate for rate in (self.between_cores, other.between_cores) if rate is not None]
        return Look(min(known, default=None), tuple(map(min, self.l2, other.l2)))


def best(looks: Iterable[Look], ceiling: Pair = (None, None)) -> Pair:
    """The best rates: what looks reached often enough (or all, if they are few), or the `ceiling` where it is higher.

    Threads that share a core pass data on within it, faster than any two cores do; such looks say nothing about cores.
    """
    pairs = [look.pair for look in looks]
    l2 = _best([pair[1] for pair in pairs], ceiling[1])
    return _best([pair[0] for pair in pairs if not _below(pair[1], l2, OWN)], ceiling[0]), l2


def _best(rates: Iterable[float | None], ceiling: float | None) -> float | None:
    known = sorted((rate for rate in rates if rate is not None), reverse=True)
    often = max(_OFTEN, math.ceil(_SHARE * len(known)))
    return max((rate for rate in (*known[:often][-1:], ceiling) if rate is not None), default=None)


def disturbance(look: Look, best: Pair) -> str | None:
    """Say what is wrong with the machine, or None: the rule by which a turn counts.

    It was fixed before anything was timed under it, and cannot see how long any engine took.
    """
    (between_cores, l2), (most_between_cores, most_l2) = look.pair, best
    if _below(between_cores, most_between_cores, NEAR):
        return "cores far apart"
    return "cores shared with others" if _below(l2, most_l2, OWN) else None


def _below(rate: float | None, best: float | None, share: float) -> bool:
    return rate is not None and best is not None and rate < share * best


def ceiling(records: Iterable[Mapping[str, Any]], threads: int) -> Pair:
    """What `ceiling` records of a machine promise to who looks at it with the same kernels and buffers.

    Of each the middle of its samples: the best of them was seen once.
    """
    rates: dict[str, float] = {}
    for record in records:
        if record["threads"] == threads and record["samples"]:
            level, rate = record["level"], statistics.median(record["samples"])
            rates[level] = max(rates.get(level, 0.0), rate)
    shared = rates.get("L2")  # as all threads read, who are as fast as the slowest of them
    return rates.get("between cores"), None if shared is None else shared / threads


class Company(Process):
    """A process that looks at the machine, with the threads and the CPUs of the engines beside it."""

    def __init__(self, threads: int) -> None:
        # a second thread on a core would only fight the first for the L2
        super().__init__("the probe", sys.executable, "codesign.measure.probe", min(threads, machine.describe().cores))

    def prepare(self) -> None:
        """Compile what the probe looks with; EngineError or WorkerDied when that does not work here."""
        self._ask("prepare")

    def look(self) -> Look:
        """Look once, some milliseconds; EngineError or WorkerDied when that does not work."""
        answer = self._ask("look")
        return Look(answer["between_cores"], tuple(answer["l2"]))


class Watch:
    """Looks at the machine around everything that is timed, and waits for a better time.

    Parameters
    ----------
    look
        Looks at the machine once.
    wait_s
        Seconds that may be spent on waiting for it, all in all.
    say
        Shows what is waited for, and None when that is over.
    ceiling
        Rates that this machine has reached before.
    """

    def __init__(
        self, look: Callable[[], Look], wait_s: float, say: Callable[[str | None], None], ceiling: Pair = (None, None)
    ) -> None:
        self._ask, self._say, self._ceiling = look, say, ceiling
        self._looks: list[Look] = []
        self.wait_s, self.waited_s = wait_s, 0.0

    @property
    def best(self) -> Pair:
        """The best rates up to now."""
        return best(self._looks, self._ceiling)

    def around(self, work: Callable[[], Timed]) -> tuple[Timed, Look]:
        """Wait until the machine is undisturbed, if there is time left for that; then do something that is timed.

        Returns
        -------
        tuple[Timed, Look]
            What `work` returned, and the worse of the looks before and after it.
        """
        before, start_s = self._look(), self.waited_s
        while (reason := disturbance(before, self.best)) and self.waited_s + _PAUSE_S <= self.wait_s:
            self._say(f"waiting for the machine: {reason}, {self.waited_s - start_s:.0f} s so far")
            time.sleep(_PAUSE_S)
            self.waited_s += _PAUSE_S
            before = self._look()
        self._say(None)
        done = work()
        return done, before.worse(self._look())

    def _look(self) -> Look:
        time.sleep(SPIN_S)  # nobody looks while threads of an engine still spin
        self._looks.append(self._ask())
        return self._looks[-1]
