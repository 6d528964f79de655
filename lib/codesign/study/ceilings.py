"""The ceilings of this machine: measured once, then read by whatever is reported as a share of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from codesign import machine
from codesign.records import KINDS, Record, Results
from codesign.study.chain import Study, say


def ensure_ceilings(study: Study) -> list[Record]:
    """Return the newest `ceiling` record of each kind; on this machine they are measured first where there is none."""
    found = ceilings_of(study.results, study.machine_id)
    if study.local and not any(record["measurement"] == KINDS["ceiling"].measurement_version for record in found):
        return measure_ceilings(study)
    return found or [study.results.one("ceiling", machine_id=study.machine_id)]  # which says what makes them


def measure_ceilings(study: Study) -> list[Record]:
    """Measure every ceiling of this machine and record it."""
    from codesign.compiler.ceilings import measure  # TVM, which `codesign doctor` must not need for reading

    with machine.exclusive("measuring the ceilings of this machine"):
        around = {"governor": machine.governor(), "load_average": machine.load_average()}  # before we add to it
        for ceiling in measure():
            rate = ceiling.reason if ceiling.rate is None else f"{ceiling.rate:.1f} {ceiling.unit}"
            say(f"{ceiling.format} {ceiling.level} {ceiling.isa}, threads={ceiling.threads}: {rate}")
            study.append("ceiling", asdict(ceiling), around)
    return ceilings_of(study.results, study.machine_id)


def ceilings_of(results: Results, machine_id: str) -> list[Record]:
    """Return the newest record of each ceiling of a machine."""
    return newest_ceilings(results.read("ceiling", machine_id=machine_id))


def newest_ceilings(records: Iterable[Record]) -> list[Record]:
    """Return the newest record of each ceiling among those of one machine."""
    return list({(r["threads"], r["level"], r["isa"], r["format"]): r for r in records}.values())
