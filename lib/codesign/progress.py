"""Progress of long work on stderr, which the book leaves out: a line rewritten on a terminal, one a minute in a log."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

#: Seconds between two lines in a log.
EVERY_S = 60.0
_CLEAR = "\r\x1b[2K"

_written_s = -EVERY_S  # when `step` last wrote a line into a log


def terminal() -> bool:
    """Whether lines can be rewritten; a notebook's kernel is told so by whoever runs it."""
    return os.environ.get("TTY_COMPATIBLE") == "1" or sys.stderr.isatty()


def say(text: str) -> None:
    """Write a line that stays."""
    print(f"{_CLEAR if terminal() else ''}{text}", file=sys.stderr, flush=True)


def step(text: str) -> None:
    """Write a line that the next one replaces on a terminal; in a log, one a minute."""
    global _written_s
    if terminal():
        print(f"{_CLEAR}{text}", end="", file=sys.stderr, flush=True)
    elif time.monotonic() - _written_s >= EVERY_S:
        _written_s = time.monotonic()
        say(text)


def track(items: Sequence[Item], doing: str) -> Iterator[Item]:
    """Go through `items`, saying which is next and about how much time is left."""
    start = time.monotonic()
    for done, item in enumerate(items):
        left = (time.monotonic() - start) / done * (len(items) - done) if done else None
        step(f"{doing} {done + 1}/{len(items)}: {item}" + (f", about {duration(left)} left" if left else ""))
        yield item
    if items:
        took = duration(time.monotonic() - start)
        say(f"{doing}: {len(items)} done in {took}")


class Count:
    """Says how much of counted work is done, and about how much time is left; work that goes on need not begin at 1."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._first: tuple[int, float] | None = None

    def __call__(self, done: int, planned: int, more: str = "") -> None:
        """Say that ``done`` of ``planned`` are done, and ``more``."""
        now = time.monotonic()
        first, since = self._first = self._first or (done, now)
        left = (now - since) / (done - first) * (planned - done) if done > first else None
        step(f"{self.what} {done}/{planned}{more}" + (f", about {duration(left)} left" if left is not None else ""))


def duration(seconds: float) -> str:
    """Return a duration for people: ``"45 s"``, ``"12 min"``, ``"3 h 20 min"``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
