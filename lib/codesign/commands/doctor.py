"""Is this machine ready, and how fast can it be? Versions, compiler, cores, memory, disk; measured ceilings.

Nothing here imports what is looked at: the wrong version of a package crashes when it is imported.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from codesign import machine
from codesign.cores import quota
from codesign.records import REPOSITORY
from codesign.schema import Record
from codesign.study import places

#: TVM crashes (a segmentation fault in MetaSchedule) or does not import when these are of other versions.
TVM = ("apache-tvm", "apache-tvm-ffi")
PYTHON = "3.11"
CORES, MEMORY_GIB, DISK_GIB = 2, 8, 20  # what the report profile needs
_WHAT = {"registers": "multiply-adds, {}", "between cores": "passing data between cores"}
BUSY = 1.0  # a load average with which a ceiling is not to be trusted


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    what: str
    ok: bool
    found: str
    wanted: str


def main(options: argparse.Namespace) -> int:
    findings = examine()
    if options.measure and safe(findings):
        from codesign.study.ceilings import measure_ceilings
        from codesign.study.chain import open_study

        measure_ceilings(open_study("local", "default"))
    return report(findings)


def examine(lock: Path = REPOSITORY / "requirements.lock") -> list[Finding]:
    """Look at everything that a run needs."""
    python = platform.python_version()
    info = machine.describe()
    compiler = shutil.which("g++") or shutil.which("clang++")
    free = shutil.disk_usage(REPOSITORY).free / 2**30
    return [
        Finding("Python", python.startswith(f"{PYTHON}."), python, PYTHON),
        *_packages(lock),
        Finding("C++ compiler", compiler is not None, compiler or "none", "g++ or clang++ on the path"),
        Finding("vector instructions", "avx2" in info.isa, info.isa[-1] if info.isa else "none", "at least avx2"),
        Finding("cores", info.cores >= CORES, str(info.cores), f"at least {CORES}"),
        Finding("memory", info.memory_gib >= MEMORY_GIB, f"{info.memory_gib:.0f} GiB", f"at least {MEMORY_GIB} GiB"),
        Finding("free disk", free >= DISK_GIB, f"{free:.0f} GiB", f"at least {DISK_GIB} GiB"),
    ]


def _packages(lock: Path) -> list[Finding]:
    """One finding for each package that differs from the lock, or one for all when none does."""
    pins = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock.read_text(), re.MULTILINE)
    wrong = [
        Finding(name, False, found, f"{pin} (requirements.lock{'; TVM segfaults with another' * (name in TVM)})")
        for name, pin in pins
        if (found := _installed(name)) != pin
    ]
    return wrong or [Finding("packages", True, f"{len(pins)} as locked", "requirements.lock")]


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name).partition("+")[0]  # a local label, as in 2.13.0+cpu, is the same code
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def safe(findings: list[Finding]) -> bool:
    """Whether TVM can be imported without crashing, as far as versions tell."""
    return all(finding.ok for finding in findings if finding.what in TVM)


def ceilings(records: list[Record]) -> str:
    """Lay out the newest record of each ceiling: a row each, a column for each number of threads."""
    import pandas as pd

    if not records:
        return "ceilings: not measured here; `codesign doctor --measure` does it in half a minute"
    newest = pd.DataFrame(records).drop_duplicates(["level", "isa", "format", "threads"], keep="last")
    rows = [
        {
            "ceiling": _WHAT.get(r.level, f"reading {r.level}").format(r.format),
            "instructions": r.isa,
            "threads": r.threads,
            "rate": r.reason if pd.isna(r.rate) else f"{r.rate:,.0f} {r.unit}",
        }
        for r in newest.itertuples()
    ]
    table = pd.DataFrame(rows).pivot_table("rate", ["ceiling", "instructions"], "threads", aggfunc="last", sort=False)
    said = table.to_string(na_rep="")
    if (company := newest["load_average"].max()) >= BUSY:
        said += f"\nmeasured beside other work (load average {company}): repeat with --measure when it is done"
    return said


def report(findings: list[Finding]) -> int:
    """Print the machine, its ceilings and the findings; return the exit code, 0 when all is well."""
    info, limit = machine.describe(), quota()
    now = {
        "quota": "none" if limit is None else f"time for {limit:g} CPUs (control group), so {info.threads} threads",
        "governor": machine.governor() or "not readable",
        "load average": machine.load_average(),
    }
    description = Table("this machine", "", title_justify="left")
    for name, value in {"machine_id": info.machine_id, **asdict(info), **now}.items():
        description.add_row(name, " ".join(value) if isinstance(value, list) else str(value))
    checks = Table("", "check", "found", "needed")
    for finding in findings:
        mark = "[green]ok[/]" if finding.ok else "[red]no[/]"
        checks.add_row(mark, finding.what, finding.found, finding.wanted)
    measured = places.results("local").read("ceiling", machine_id=info.machine_id)
    Console().print(description, ceilings(measured), checks)
    return 0 if all(finding.ok for finding in findings) else 1
