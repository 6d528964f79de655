"""The records that this build shows, read once."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from codesign.records import RESULTS_ROOT, Results
from codesign.study import places
from codesign.study.claims import Verdict
from codesign.study.described import machine_numbers
from codesign.study.evidence import Evidence
from codesign.study.machines import Machine, machines
from codesign.study.numbers import numbers
from codesign.study.travel import travel_numbers

BOOK = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Shown:
    """What pages may print.

    Parameters
    ----------
    evidence
        The records, at the operating point of the book.
    numbers
        Key -> text for the role ``num``.
    verdicts
        Claim id -> verdict.
    machines
        The machine that is shown, then the others: prose and verdicts are about the first alone.
    """

    evidence: Evidence
    numbers: dict[str, str]
    verdicts: dict[str, Verdict]
    machines: list[Machine]

    @property
    def strict(self) -> bool:
        """Whether something missing fails the build: it does unless the book shows this machine's own records."""
        return not self.evidence.results.local


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
    results = Results(name, Path(root)) if root else places.results(name)
    found = machines(results, Path(root) if root else RESULTS_ROOT)
    verdicts = {verdict.id: verdict for verdict in found[0].verdicts}
    values = {**numbers(results), **dict(travel_numbers(found)), **dict(machine_numbers(found))}
    return Shown(found[0].evidence, values, verdicts, found)
