"""Where work goes: local results, work products and executed notebooks.

Found from the repository, never from the working directory, so that a notebook runs alike from JupyterLab and from
papermill. The variable ``CODESIGN_WORKSPACE`` moves everything that a run writes into another folder; committed results
are read from the repository all the same.
"""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from codesign.errors import InputError
from codesign.records import LOCAL, REPOSITORY, RESULTS_ROOT, Results

BOOK = REPOSITORY / "book"
NOTEBOOKS = REPOSITORY / "notebooks"
PROFILES = NOTEBOOKS / "params"
#: Profiles of what is done on demand and stands beside the book: `make try`, `codesign bench`, `codesign compile`.
ASIDE = TRY, BENCH, COMPILE = ("try", "bench", "compile")
#: Instead of the name of a machine: that whose records the pages show.
SHOWN = "book"
#: File of a machine's folder that says what its records hold, in the form of a profile.
PARAMETERS = "parameters.yaml"


def machines(root: Path = RESULTS_ROOT) -> list[str]:
    """Return the names of the machines whose results are committed, that whose records the pages show first."""
    found = sorted(path.parent.name for path in root.glob("*/machine.jsonl") if path.parent.name != LOCAL)
    return sorted(found, key=lambda name: name != shown())


def shown() -> str:
    """Return the name of the machine whose records the pages show; it is set in ``book/shown.yml``."""
    return str(yaml.safe_load((BOOK / "shown.yml").read_text(encoding="utf-8"))["machine"])


def results(name: str) -> Results:
    """Return the results of a machine by name, of the one that the pages show (`SHOWN`), or of this one (`LOCAL`).

    Raises
    ------
    InputError
        If no such results are committed.
    """
    if name == LOCAL:
        return Results(LOCAL, _place("results", RESULTS_ROOT))
    wanted, known = shown() if name == SHOWN else name, machines()
    if wanted not in known:
        raise InputError("results", name, f"one of {', '.join((SHOWN, LOCAL, *known))}")
    return Results(wanted)


def build() -> Path:
    """Folder of checkpoints, expected outputs, artefacts and unexecuted notebooks."""
    return _place("build", REPOSITORY / "build")


def runs() -> Path:
    """Folder of executed notebooks."""
    return _place("runs", BOOK / "runs")


def write(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all: a full disk or a kill leaves what was there before."""
    work = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        work.write_text(text, encoding="utf-8")
        work.replace(path)
    finally:
        work.unlink(missing_ok=True)


def _place(name: str, default: Path) -> Path:
    workspace = os.environ.get("CODESIGN_WORKSPACE")
    return Path(workspace).resolve() / name if workspace else default
