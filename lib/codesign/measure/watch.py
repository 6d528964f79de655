"""Keeps watch over the machine while engines are timed: looks before and after, and waits for a better time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from codesign.measure.company import Look, Pair, best, disturbance
from codesign.measure.protocol import SPIN_S

_PAUSE_S = 0.3  # long enough for a hypervisor to use the rest and move a core

Timed = TypeVar("Timed")
Arguments = ParamSpec("Arguments")


class Watch:
    """What a session knows of its machine.

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
        self,
        look: Callable[[], Look],
        wait_s: float,
        say: Callable[[str | None], None] = lambda text: None,
        ceiling: Pair = (None, None),
    ) -> None:
        self._ask, self._say, self._ceiling = look, say, ceiling
        self._looks: list[Look] = []
        self.left_s, self.waited_s = wait_s, 0.0

    @property
    def best(self) -> Pair:
        """The best rates up to now."""
        return best(self._looks, self._ceiling)

    def around(
        self, work: Callable[Arguments, Timed], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> tuple[Timed, Look]:
        """Wait until the machine is undisturbed, if there is time left for that; then do something that is timed.

        Returns
        -------
        tuple[Timed, Look]
            What `work` returned, and the worse of the looks before and after it.
        """
        before = self._wait()
        done = work(*args, **kwargs)
        return done, before.worse(self._look())

    def _wait(self) -> Look:
        look = self._look()
        waited_s = 0.0
        while (reason := disturbance(look, self.best)) and self.left_s >= _PAUSE_S:
            self._say(f"waiting for the machine: {reason}, {waited_s:.0f} s so far")
            time.sleep(_PAUSE_S)
            waited_s += _PAUSE_S
            self.left_s -= _PAUSE_S
            look = self._look()
        if waited_s:
            self.waited_s += waited_s
            self._say(None)
        return look

    def _look(self) -> Look:
        time.sleep(SPIN_S)  # nobody looks while threads of an engine still spin
        self._looks.append(self._ask())
        return self._looks[-1]
