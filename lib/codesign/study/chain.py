"""What every step of the chain shares: where its records are, which still count, and what is left to do.

A step is an ``ensure_*`` function that a notebook calls. Reading committed results, it returns the records of its
points or says which is missing. Measuring on this machine, it first does what no record of this machine, profile and
code says was done; so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from codesign import machine
from codesign.progress import track
from codesign.records import KINDS, Record, Results, new_run_id, stamp
from codesign.study import places
from codesign.study.parameters import check
from codesign.study.places import ASIDE

Item = TypeVar("Item")

#: The profile whose measurement protocol is followed by what is measured on demand.
ASIDE_PROTOCOL = "default"


@dataclass(frozen=True)
class Study:
    """One notebook's view of the results.

    Parameters
    ----------
    results
        Where records are read from, and written to when local.
    profile
        Stamped on new records; local records of other profiles do not count.
    run_id
        The same for every record of one `make reproduce`.
    machine_id
        Local records of another machine do not count.
    build
        Folder of work products.
    encoder_only
        Whether the head of a model that has one is left out, as the user asked; else it is refused.
    """

    results: Results
    profile: str
    run_id: str
    machine_id: str
    build: Path
    encoder_only: bool = False

    @property
    def local(self) -> bool:
        """Whether missing work is done here (True) or reported (False)."""
        return self.results.local

    @property
    def protocol(self) -> str:
        """Which measurement protocol its sessions follow."""
        return ASIDE_PROTOCOL if self.profile in ASIDE else self.profile

    def found(self, kind: str, fields: Mapping[str, Any]) -> list[Record]:
        """Records with these fields that count, oldest first."""
        if not self.local:
            return self.results.read(kind, **fields)
        here: dict[str, Any] = {"profile": self.profile, "machine_id": self.machine_id}
        here["measurement"] = KINDS[kind].measurement_version
        return self.results.read(kind, **fields, **here)

    def newest(self, kind: str, fields: Mapping[str, Any]) -> Record:
        """Return the newest record that counts.

        Raises
        ------
        MissingRecord
            Naming the notebook that makes it.
        """
        counting = self.found(kind, fields)
        return counting[-1] if counting else self.results.one(kind, **fields)

    def left(self, items: Sequence[Item], doing: str, done: Callable[[Item], object]) -> Iterator[Item]:
        """Go through the items of a step that are not done yet, as `track`; through none when reading."""
        if self.local:
            yield from track([item for item in items if not done(item)], doing)

    def stamp(self, kind: str) -> Record:
        """Start a record."""
        return stamp(kind, profile=self.profile, run_id=self.run_id, machine_id=self.machine_id)

    def append(self, kind: str, *fields: Mapping[str, Any]) -> None:
        """Write one record; later fields win."""
        record = self.stamp(kind)
        for part in fields:
            record.update(part)
        self.results.append(record)


def open_study(results: str, profile: str, *, encoder_only: bool = False) -> Study:
    """Open the results for a notebook.

    Parameters
    ----------
    results
        ``"local"`` measures on this machine what is missing; ``"book"``, or the name of a machine, only reads.
    profile
        As in ``notebooks/params``, or one of `codesign.study.places.ASIDE`.
    encoder_only
        As `Study`.

    Raises
    ------
    InputError
        If either is not one of its allowed values.
    """
    info = machine.describe()
    run_id = os.environ.get("CODESIGN_RUN_ID") or new_run_id()
    opened = places.results(check("results", results))
    study = Study(opened, check("profile", profile), run_id, info.machine_id, places.build(), encoder_only)
    if study.local and not study.results.read("machine", machine_id=info.machine_id):
        study.append("machine", asdict(info))
    return study
