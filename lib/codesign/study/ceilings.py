"""The ceilings of this machine: measured once, then read by whatever is reported as a share of them."""

from __future__ import annotations

from collections.abc import Sequence

from codesign import machine
from codesign.progress import say
from codesign.records import KINDS, Record
from codesign.study.chain import Study


def ensure_ceilings(study: Study, machine_id: str | None = None) -> list[Record]:
    """Return the newest `ceiling` record of each kind; on this machine they are measured first where there is none.

    Parameters
    ----------
    machine_id
        Whose ceilings; this machine's by default.

    Raises
    ------
    MissingRecord
        Reading committed results, if they lack them.
    """
    of = {"machine_id": machine_id or study.machine_id}
    version = {"measurement": KINDS["ceiling"].measurement_version}
    if study.local and not study.results.read("ceiling", **of, **version):
        measure_ceilings(study)
    records = study.results.read("ceiling", **of)
    newest = {(r["threads"], r["level"], r["isa"], r["format"]): r for r in records}
    return list(newest.values()) or [study.results.one("ceiling", **of)]


def measure_ceilings(study: Study) -> None:
    """Measure every ceiling of this machine and record it."""
    from codesign.compiler.ceilings import measure  # TVM, which `codesign doctor` must not need for reading

    with machine.exclusive("measuring the ceilings of this machine"):
        around = {"governor": machine.governor(), "load_average": machine.load_average()}  # before we add to it
        for ceiling in measure():
            rate = ceiling["reason"] or f"{ceiling['rate']:.1f} {ceiling['unit']}"
            say(f"{ceiling['format']} {ceiling['level']} {ceiling['isa']}, threads={ceiling['threads']}: {rate}")
            study.append("ceiling", ceiling, around)


def limits_of(study: Study, records: Sequence[Record]) -> tuple[list[Record], Record]:
    """Return the ceilings and the description of the machine that records come from.

    Raises
    ------
    MissingRecord
        Reading committed results, if they lack either.
    """
    machine_id = records[0]["machine_id"]
    return ensure_ceilings(study, machine_id), study.results.one("machine", machine_id=machine_id)
