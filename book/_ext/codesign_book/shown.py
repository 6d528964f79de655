"""The records that this build shows, read once."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from codesign.answers import effects
from codesign.answers.claims import NOT_MEASURED, Verdict, verdicts
from codesign.answers.frames import Frames
from codesign.errors import MissingRecord
from codesign.records import RESULTS_ROOT, Results
from codesign.study import places

BOOK = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Shown:
    """What pages may print: records at the operating point of the book."""

    frames: Frames

    @property
    def machines(self) -> list[Frames]:
        """The machine that is shown, then the others: prose and verdicts are about the first alone."""
        return self.frames.machines

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """Claim id -> verdict."""
        return verdicts(self.frames)

    @property
    def strict(self) -> bool:
        """Whether something missing fails the build: it does unless the book shows this machine's own records."""
        return not self.frames.results.local

    def number(self, key: str) -> str:
        """Return what the role ``num`` prints.

        Raises
        ------
        InputError
            If nothing has this name.
        MissingRecord
            If it was not measured, and this is not a page of local results, which then says so.
        """
        try:
            return _text(self.frames, key)
        except MissingRecord:
            if self.strict:
                raise
            return NOT_MEASURED

    def has(self, key: str) -> bool:
        """Whether a number was measured."""
        try:
            _text(self.frames, key)
        except MissingRecord:
            return False
        return True


@functools.cache
def _text(frames: Frames, key: str) -> str:
    return effects.text(frames, key)


@functools.cache
def filed(name: str) -> dict[str, dict[str, str]]:
    """Read a file of numbers that no record here gives: key -> {"value", "source"}."""
    found: dict[str, dict[str, str]] = yaml.safe_load((BOOK / name).read_text(encoding="utf-8"))
    return found


@functools.cache
def shown() -> Shown:
    """Read ``CODESIGN_RESULTS`` (as `codesign.study.places.results`; under ``CODESIGN_RESULTS_ROOT`` when set)."""
    root = os.environ.get("CODESIGN_RESULTS_ROOT")
    name = os.environ.get("CODESIGN_RESULTS", places.SHOWN)
    return Shown(Frames(Results(name, Path(root))) if root else Frames(places.results(name), committed=RESULTS_ROOT))
