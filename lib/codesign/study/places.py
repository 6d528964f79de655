"""Where work goes: local results, work products and executed notebooks.

Found from the repository, never from the working directory, so that a notebook runs alike from JupyterLab and from
papermill. The variable ``CODESIGN_WORKSPACE`` moves everything that a run writes into another folder; the committed
reference results are read from the repository all the same.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from codesign.records import REPOSITORY, RESULTS_ROOT, Results

BOOK = REPOSITORY / "book"
NOTEBOOKS = REPOSITORY / "notebooks"
PROFILES = NOTEBOOKS / "params"
#: What the committed records hold, in the form of a profile: more than anybody measures within an hour.
COMMITTED = RESULTS_ROOT / "reference" / "parameters.yaml"


def results(mode: Literal["reference", "local"]) -> Results:
    """Return the results of one mode."""
    return Results(mode, RESULTS_ROOT if mode == "reference" else _place("results", RESULTS_ROOT))


def elsewhere(root: Path = RESULTS_ROOT) -> list[Results]:
    """Return the committed results of other machines than the reference, by name."""
    folder = root / "elsewhere"
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return [Results("reference", root, name) for name in names]


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
