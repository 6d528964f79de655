"""Is this machine ready? Versions, compiler, cores, memory, disk."""

from __future__ import annotations

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

#: TVM crashes (a segmentation fault in MetaSchedule) or does not import with any other version.
CRASHES_UNLESS = {"apache-tvm-ffi": "0.1.14.post1"}
PYTHON = "3.11"
CORES, MEMORY_GIB, DISK_GIB = 2, 8, 20  # what the report profile needs


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    what: str
    ok: bool
    found: str
    wanted: str


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


def report(findings: Iterable[Finding]) -> int:
    """Print the machine and the findings; return the exit code, 0 when all is well."""
    console = Console()
    description = Table("this machine", "", title_justify="left")
    for name, value in asdict(machine.describe()).items():
        description.add_row(name, " ".join(value) if isinstance(value, list) else str(value))
    checks = Table("", "check", "found", "needed")
    for finding in findings:
        mark = "[green]ok[/]" if finding.ok else "[red]no[/]"
        checks.add_row(mark, finding.what, finding.found, finding.wanted)
    console.print(description, checks)
    return 0 if all(finding.ok for finding in findings) else 1
