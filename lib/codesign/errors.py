"""The errors a user can meet. Each message says what was given, what was expected and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping


class InputError(ValueError):
    """A parameter has a value that cannot be used.

    Parameters
    ----------
    parameter
        Name of the parameter, as the user typed it.
    value
        The refused value.
    expected
        What would have been accepted, in words.
    nearest
        The closest acceptable value, where there is one.
    """

    def __init__(self, parameter: str, value: object, expected: str, nearest: object | None = None) -> None:
        self.parameter, self.value, self.expected, self.nearest = parameter, value, expected, nearest
        hint = "" if nearest is None else f"; did you mean {nearest}?"
        super().__init__(f"{parameter}={value!r} is not valid: expected {expected}{hint}")


def nearest(value: str, known: Collection[str]) -> str | None:
    """Return the known name that is spelt most like ``value``, if one is close."""
    return next(iter(difflib.get_close_matches(value, known, n=1)), None)


def one_of(parameter: str, value: str, known: Collection[str]) -> str:
    """Return ``value`` if it is known.

    Raises
    ------
    InputError
        Naming the nearest known one.
    """
    if value not in known:
        raise InputError(parameter, value, f"one of {', '.join(known)}", nearest(value, known))
    return value


class MissingRecord(LookupError):
    """No record matches; the message names what was looked for and what would make it.

    Parameters
    ----------
    kind
        Kind of record.
    filters
        Field values that were asked for.
    producer
        The notebook or command that writes such records.
    where
        The file or folder that lacks it.
    """

    def __init__(self, kind: str, filters: Mapping[str, object], producer: str, where: object = None) -> None:
        self.kind, self.filters, self.producer = kind, dict(filters), producer
        wanted = ", ".join(f"{name}={value!r}" for name, value in filters.items()) or "any fields"
        place = "" if where is None else f" in {where}"
        super().__init__(f"no {kind} with {wanted}{place}: {producer} makes it")


class MissingTask(LookupError):
    """A task of the model is not in the tuning database; running it untuned would be slow without a word."""


class NotebookFailed(RuntimeError):
    """A cell raised (the message has its number, first line and error), or the kernel died."""


class BookFailed(RuntimeError):
    """The strict build of the book found an error or a warning; it was printed."""


class RecordError(ValueError):
    """A record breaks the schema, or a line of a results file cannot be read; the message names the field or line."""
