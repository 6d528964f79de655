"""Effects: what can be said of records, each a small function over frames with a name.

An effect is named in a claim and in prose alike, with its arguments after dots: ``speedup.torch-eager.all.32x1`` is
``speedup(frames, "torch-eager", "all", "32x1")``. One that begins with the folder of a machine is about that machine:
``zen4-avx512.lanes``. Adding one is a function with the decorator, in the module of its subject.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import numpy as np

import codesign.answers
from codesign.answers.frames import Frames
from codesign.answers.words import error, listed, milliseconds, percent, points, times
from codesign.errors import InputError, MissingRecord, nearest
from codesign.measure.ratios import Interval

Value = Interval | float | int | str | list[str]
Function = Callable[..., Value]
Registered = TypeVar("Registered", bound=Function)

#: How an effect is printed, by its unit.
UNITS: dict[str, Callable[[Any], str]] = {
    "ratio": lambda value: times(value),
    "share": lambda value: percent(value) if isinstance(value, Interval) else f"{value:.0%}",
    "share to a tenth": lambda value: percent(value, 1) if isinstance(value, Interval) else f"{value:.1%}",
    "points": lambda value: points(value),
    "ms": lambda value: milliseconds(value.value if isinstance(value, Interval) else value),
    "s": lambda value: f"{value:.0f} s",
    "error": lambda value: error(value),
    "count": lambda value: f"{value:,}",
    "text": lambda value: listed(value) if isinstance(value, list) else str(value),
}


@dataclass(frozen=True)
class Effect:
    """A named function over frames, and the unit of its value: one of `UNITS`, or a word for what is counted."""

    name: str
    function: Function
    unit: str

    @property
    def usage(self) -> str:
        """Its name and its arguments, as in ``shape-over.<scope>.<block>.<rival>``."""
        return ".".join([self.name, *(f"<{name}>" for name in list(inspect.signature(self.function).parameters)[1:])])

    def text(self, value: Value) -> str:
        """Format a value of this effect."""
        if self.unit in UNITS:
            return UNITS[self.unit](value)
        return f"{value.value if isinstance(value, Interval) else value:.1f} {self.unit}"


_EFFECTS: dict[str, Effect] = {}


def effect(unit: str) -> Callable[[Registered], Registered]:
    """Register a function as an effect; its name there has dashes for underscores.

    It takes a `Frames`, then texts; and raises `MissingRecord` where nothing was measured.
    """

    def register(function: Registered) -> Registered:
        name = function.__name__.replace("_", "-")
        assert name not in _EFFECTS, f"two effects are called {name}"
        _EFFECTS[name] = Effect(name, function, unit)
        return function

    return register


@cache
def effects() -> dict[str, Effect]:
    """Return every effect by name, from all modules of this room."""
    for module in pkgutil.iter_modules(codesign.answers.__path__):
        importlib.import_module(f"codesign.answers.{module.name}")
    return dict(sorted(_EFFECTS.items()))


def parse(key: str) -> tuple[Effect, list[str]]:
    """Return the effect that a key names, and its arguments.

    Raises
    ------
    InputError
        If there is no such effect, or it takes other arguments; with the nearest that there is.
    """
    name, *arguments = key.split(".")
    if name not in effects():
        raise InputError(
            "effect", key, "the name of an effect, then its arguments after dots", nearest(name, effects())
        )
    found = effects()[name]
    wanted = list(inspect.signature(found.function).parameters.values())[1:]
    least = sum(parameter.default is parameter.empty for parameter in wanted)
    if not least <= len(arguments) <= len(wanted):
        raise InputError("effect", key, "as many arguments as the effect takes", found.usage)
    return found, arguments


def value(frames: Frames, key: str) -> Value:
    """Return what a key says of these records.

    Raises
    ------
    InputError
        If the key names no effect.
    MissingRecord
        If what it rests on was not measured.
    """
    found, arguments = parse(key)
    return found.function(frames, *arguments)


def text(frames: Frames, key: str) -> str:
    """Return what a key says of these records, as prose prints it; raises what `value` raises."""
    folder, _, rest = key.partition(".")
    for machine in frames.machines[1:] if folder not in effects() else ():
        if machine.results.machine == folder:
            return text(machine, rest)
    if folder not in effects() and rest.partition(".")[0] in effects():
        raise MissingRecord("machine", {"results": folder}, "another machine")
    return parse(key)[0].text(value(frames, key))


# Of several intervals, or of a ratio.


def least(intervals: Iterable[Interval]) -> Interval:
    """Return the smallest, end by end: what holds for it holds for all."""
    ends = np.array([(each.value, each.low, each.high) for each in intervals])
    return Interval(*(float(end) for end in ends.min(axis=0)))


def closeness(ratio: Interval) -> Interval:
    """Say how near a ratio is to one, from below: 0.98 is two percent off, whichever way."""
    ends = [min(end, 1 / end) for end in (ratio.low, ratio.high)]
    return Interval(min(ratio.value, 1 / ratio.value), min(ends), 1.0 if ratio.covers(1.0) else max(ends))


def interval_of(function: Callable[[float], float], argument: Interval) -> Interval:
    """Apply a rising function to a value and the ends of its interval."""
    return Interval(*(function(end) for end in (argument.value, argument.low, argument.high)))


def exactly(value: float) -> Interval:
    """Return an effect that is counted, and has no spread."""
    return Interval(value, value, value)


def interval(value: float, draws: np.ndarray) -> Interval:
    """95% interval of bootstrap draws around a value."""
    low, high = np.quantile(draws, (0.025, 0.975))
    return Interval(value, float(low), float(high))
