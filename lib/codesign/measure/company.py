"""In what company engines are timed: how fast this machine is right now, apart from any engine.

On a shared machine a virtual core is moved about. Two of them may lie on different caches for half a minute, or share
one core, or have a neighbour on theirs; arithmetic and memory are then as fast as before, and an encoder is not.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from codesign import machine
from codesign.engines.client import Process
from codesign.measure.protocol import SPIN_S
from codesign.progress import step

#: Lowest share of the best rate between cores that is undisturbed. Where this was set up, cores on different L3 caches
#: passed data on at less than 0.45 of it, and cores on one L3 at more than 0.7.
NEAR = 0.55
#: The same for L2. Threads that share a core get half of it each, and less; a core of one's own gives more than 0.75.
OWN = 0.6
#: The best is what so many looks reached, and this share of them: lucky ones must not make all others disturbed.
_OFTEN, _SHARE = 3, 0.02
_PAUSE_S = 0.3  # long enough for a hypervisor to use the rest and move a core

Timed = TypeVar("Timed")


class Look(NamedTuple):
    """How fast cores pass data on, and the slowest L2 while all are read, in GB/s; None where there is no such rate."""

    between_cores: float | None
    l2: float | None

    def worse(self, other: Look) -> Look:
        """The lower of each rate, for something that lies between two looks."""
        return Look(*(None if a is None or b is None else min(a, b) for a, b in zip(self, other, strict=True)))


UNKNOWN = Look(None, None)


def best(looks: Iterable[Look], ceiling: Look = UNKNOWN) -> Look:
    """The best rates: what looks reached often enough (or all, if they are few), or the `ceiling` where it is higher.

    Threads that share a core pass data on within it, faster than any two cores do; such looks say nothing about cores.
    """
    looks = list(looks)
    l2 = _best([look.l2 for look in looks], ceiling.l2)
    apart = [look.between_cores for look in looks if not _below(look.l2, l2, OWN)]
    return Look(_best(apart, ceiling.between_cores), l2)


def _best(rates: Iterable[float | None], ceiling: float | None) -> float | None:
    known = sorted((rate for rate in rates if rate is not None), reverse=True)
    often = max(_OFTEN, math.ceil(_SHARE * len(known)))
    return max((rate for rate in (*known[:often][-1:], ceiling) if rate is not None), default=None)


def disturbed(look: Look, best: Look) -> bool:
    """Say whether cores are far apart, or shared with others: the rule by which a turn does not count.

    It was fixed before anything was timed under it, and cannot see how long any engine took.
    """
    return _below(look.between_cores, best.between_cores, NEAR) or _below(look.l2, best.l2, OWN)


def _below(rate: float | None, best: float | None, share: float) -> bool:
    return rate is not None and best is not None and rate < share * best


def ceiling(records: Sequence[Mapping[str, Any]], threads: int) -> Look:
    """What `ceiling` records of a machine promise to who looks at it with the same kernels and buffers.

    Of each the middle of its samples: the best of them was seen once.
    """

    def most(level: str) -> float | None:
        found = (each for each in records if (each["level"], each["threads"]) == (level, threads) and each["samples"])
        return max((statistics.median(each["samples"]) for each in found), default=None)

    shared = most("L2")  # as all threads read, who are as fast as the slowest of them
    return Look(most("between cores"), None if shared is None else shared / threads)


class Company(Process):
    """A process that looks at the machine, with the threads and the CPUs of the engines beside it."""

    def __init__(self, threads: int) -> None:
        # a second thread on a core would only fight the first for the L2
        super().__init__("the probe", sys.executable, "codesign.measure.probe", min(threads, machine.describe().cores))

    def prepare(self) -> None:
        """Compile what the probe looks with; EngineError when that does not work here."""
        self._ask("prepare")

    def look(self) -> Look:
        """Look once, some milliseconds; EngineError when that does not work."""
        return Look(**self._ask("look"))


class Watch:
    """Looks at the machine around everything that is timed, and waits for a better time.

    Parameters
    ----------
    look
        Looks at the machine once.
    wait_s
        Seconds that may be spent on waiting for it, all in all.
    ceiling
        Rates that this machine has reached before.
    """

    def __init__(self, look: Callable[[], Look], wait_s: float, ceiling: Look = UNKNOWN) -> None:
        self._ask, self._ceiling = look, ceiling
        self._looks: list[Look] = []
        self.wait_s, self.waited_s = wait_s, 0.0

    @property
    def best(self) -> Look:
        """The best rates up to now."""
        return best(self._looks, self._ceiling)

    def around(self, work: Callable[[], Timed]) -> tuple[Timed, Look]:
        """Wait until the machine is undisturbed, if there is time left for that; then do something that is timed.

        Returns
        -------
        tuple[Timed, Look]
            What `work` returned, and the worse of the looks before and after it.
        """
        before = self._look()
        while disturbed(before, self.best) and self.waited_s + _PAUSE_S <= self.wait_s:
            step(f"waiting for the machine: {self.waited_s:.0f} s so far")
            time.sleep(_PAUSE_S)
            self.waited_s += _PAUSE_S
            before = self._look()
        done = work()
        return done, before.worse(self._look())

    def _look(self) -> Look:
        time.sleep(SPIN_S)  # nobody looks while threads of an engine still spin
        self._looks.append(self._ask())
        return self._looks[-1]
