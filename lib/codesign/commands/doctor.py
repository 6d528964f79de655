"""Is this machine ready, and how fast can it be? Versions, compiler, cores, memory, disk; measured ceilings.

Nothing here imports what is looked at: the wrong version of a package crashes when it is imported.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import re
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from codesign import machine
from codesign.records import REPOSITORY
from codesign.schema import Record
from codesign.study import places

#: TVM crashes (a segmentation fault in MetaSchedule) or does not import with any other version.
CRASHES_UNLESS = {"apache-tvm-ffi": "0.1.14.post1"}
PYTHON = "3.11"
CORES, MEMORY_GIB, DISK_GIB = 2, 8, 20  # what the report profile needs
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


def _packages(lock: Path) -> Iterable[Finding]:
    """One finding for each package that differs from the lock, or one for all when none does."""
    pins = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock.read_text(), re.MULTILINE)
    findings = [Finding(name, version == pin, version, pin) for name, pin in pins for version in [_installed(name)]]
    wrong = [finding for finding in findings if not finding.ok]
    for finding in wrong:
        reason = "; TVM segfaults with another" if finding.what in CRASHES_UNLESS else ""
        yield Finding(finding.what, False, finding.found, f"{finding.wanted} (requirements.lock{reason})")
    for name, version in CRASHES_UNLESS.items():
        if (name, version) not in pins:
            yield Finding(name, False, dict(pins).get(name, "no pin"), f"{version} pinned; TVM segfaults with another")
    if not wrong:
        yield Finding("packages", True, f"{len(findings)} as locked", "requirements.lock")


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name).partition("+")[0]  # a local label, as in 2.13.0+cpu, is the same code
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def safe(findings: Iterable[Finding]) -> bool:
    """Whether TVM can be imported without crashing, as far as versions tell."""
    return all(finding.ok for finding in findings if finding.what in ("apache-tvm", *CRASHES_UNLESS))


def ceilings(records: Iterable[Record]) -> Table | str:
    """Lay out the newest record of each ceiling: a row each, a column for each number of threads."""
    newest = {(r["level"], r["isa"], r["format"], r["threads"]): r for r in records}
    if not newest:
        return "ceilings: not measured here; `codesign doctor --measure` does it in half a minute"
    threads = sorted({key[-1] for key in newest})
    shown = Table("ceiling", "instructions", *(f"{count} threads" if count > 1 else "1 thread" for count in threads))
    company = max(record["load_average"] for record in newest.values())
    if company >= BUSY:
        shown.caption = f"measured beside other work (load average {company}): repeat with --measure when it is done"
    for level, isa, format_ in dict.fromkeys(key[:-1] for key in newest):
        what = {"registers": f"multiply-adds, {format_}", "between cores": "passing data between cores"}.get(level)
        rates = (_rate(newest.get((level, isa, format_, count))) for count in threads)
        shown.add_row(what or f"reading {level}", isa, *rates)
    return shown


def _rate(record: Record | None) -> str:
    if record is None:
        return ""
    return str(record["reason"]) if record["rate"] is None else f"{record['rate']:,.0f} {record['unit']}"


def report(findings: Iterable[Finding]) -> int:
    """Print the machine, its ceilings and the findings; return the exit code, 0 when all is well."""
    findings, console = list(findings), Console()
    info = machine.describe()
    now = {
        "quota": machine.quota_text(),
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
    console.print(description, ceilings(places.results("local").read("ceiling", machine_id=info.machine_id)), checks)
    return 0 if all(finding.ok for finding in findings) else 1
