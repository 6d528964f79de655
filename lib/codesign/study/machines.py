"""Several machines beside each other: each is judged by its own records, and no record of one meets another's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.table import Table

from codesign.answers.words import cpu_label
from codesign.errors import MissingRecord
from codesign.records import RESULTS_ROOT, Results
from codesign.schema import Record
from codesign.study import places
from codesign.study.claims import NOT_MEASURED, Verdict, evaluate
from codesign.study.evidence import Evidence
from codesign.study.numbers import effect_text

#: Said of this machine in a comparison, and of another one that lacks what a claim needs.
HERE, NOT_MEASURED_THERE = "here", "not measured"


@dataclass(frozen=True)
class Machine:
    """One machine of a comparison: what it is called, and its records at the operating point of the book."""

    label: str
    evidence: Evidence

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """The verdict of its records on every claim."""
        return evaluate(self.evidence)

    @property
    def description(self) -> Record | None:
        """Its machine record, if it has one."""
        try:
            return self.evidence.machine
        except MissingRecord:
            return None

    def say(self, verdict: Verdict) -> str:
        """Return a verdict in words that are true where other machines have a column, too."""
        elsewhere = verdict.verdict == NOT_MEASURED and not self.evidence.results.local
        return NOT_MEASURED_THERE if elsewhere else verdict.verdict


def machines(shown: Results, committed: Path = RESULTS_ROOT) -> list[Machine]:
    """Return the machine of the results that are shown, then the others whose results are committed.

    Parameters
    ----------
    shown
        Those of a machine, or local ones. Beside these a machine with committed results counts as another one, even if
        it is this one.
    committed
        Folder that holds the results of each machine.
    """
    others = [Results(name, committed) for name in places.machines(committed) if name != shown.machine]
    found = [Machine(HERE if shown.local else "", Evidence(shown)), *(Machine("", Evidence(each)) for each in others)]
    return _named(found)


def _named(found: Sequence[Machine]) -> list[Machine]:
    """Give every machine without a name that of its CPU; where two CPUs share one, that of its folder, too."""
    called = [machine.label or _cpu(machine) for machine in found]
    often = Counter(called)
    return [
        replace(machine, label=name if often[name] == 1 else f"{name}, {_folder(machine)}")
        for machine, name in zip(found, called, strict=True)
    ]


def _folder(machine: Machine) -> str:
    return machine.evidence.results.machine


def _cpu(machine: Machine) -> str:
    return cpu_label(machine.description) if machine.description else str(machine.evidence.machine_id)


def rows(found: Sequence[Machine]) -> list[dict[str, Any]]:
    """Return every verdict of every machine as a JSON object; effect and interval are null where nothing was measured.

    The interval is a 95% interval, ``[low, high]``, in the unit of the effect.
    """
    return [
        {
            "id": verdict.id,
            "statement": verdict.claim.statement,
            "verdict": machine.say(verdict),
            "effect": verdict.effect and verdict.effect.value,
            "interval": verdict.effect and [verdict.effect.low, verdict.effect.high],
            "unit": verdict.unit,
            "note": verdict.note,
            "machine": machine.label,
            "machine_id": machine.evidence.machine_id,
        }
        for machine in found
        for verdict in machine.verdicts
    ]


def table(found: Sequence[Machine]) -> Table:
    """Lay out the verdicts for a terminal, a column for each machine."""
    shown = Table("claim", "statement", *(machine.label for machine in found), show_lines=True)
    for verdicts in zip(*(machine.verdicts for machine in found), strict=True):
        cells = [
            f"{m.say(v)}\n{effect_text(v)}" if v.effect else m.say(v) for m, v in zip(found, verdicts, strict=True)
        ]
        shown.add_row(verdicts[0].id, verdicts[0].claim.statement, *cells)
    return shown
