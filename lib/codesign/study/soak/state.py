"""What a workspace holds: what is finished, what is damaged, and everything in it that is not a timing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from codesign.checkpoint import CONFIG, WEIGHTS
from codesign.compiler.database import HEADER
from codesign.errors import RecordError
from codesign.records import Results
from codesign.runtime import LIBRARY, MANIFEST, PARAMS
from codesign.schema import KINDS
from codesign.study.chain import Study
from codesign.study.determinism import facts

#: What is said of each compiled or timed case that no clock decides. How often a task was tried depends on when the
#: tuner was interrupted, and which schedule won on the times of the trials.
_SAID = {
    "tuning": ("engine", "scope", "block", "target", "tasks", "from_nothing"),
    "compile": ("engine", "scope", "block", "target", "bsr_linears", "dense_linears", "functions"),
    "latency": ("engine", "scope", "block", "status", "block_sparsity", "element_sparsity", "control"),
}
#: Kinds of which a finished piece of work has one record, so that a second one is work done twice.
_ONCE = ("pattern", "compile", "tuning")
#: An encoder that differs by more from PyTorch is wrong.
_WRONG_ABOVE = 1e-4


def finished(workspace: Path) -> dict[str, list[bytes]]:
    """Return the whole lines of every file of records."""
    folder = workspace / "results" / "local"
    return {path.name: path.read_bytes().split(b"\n")[:-1] for path in sorted(folder.glob("*.jsonl"))}


def lost(before: dict[str, list[bytes]], after: dict[str, list[bytes]]) -> list[str]:
    """Name the files in which a line that was finished before is not there, or not where it was."""
    return [name for name, lines in before.items() if after.get(name, [])[: len(lines)] != lines]


def damage(workspace: Path) -> list[str]:
    """Name what stands where a finished thing belongs and is not one."""
    found = []
    results = Results("local", workspace / "results")
    for kind in KINDS:
        try:
            results.read(kind)
        except RecordError as error:
            found.append(str(error))
    build = workspace / "build"
    for folder, whole in (("models", _model), ("examples", _examples), ("artifacts", _artifact)):
        for path in sorted((build / folder).glob("[!.]*")):
            try:
                whole(path)
            except (OSError, ValueError, KeyError, EOFError, SafetensorError) as error:
                found.append(f"{path}: {type(error).__name__}: {error}"[:300])
    for header in workspace.glob(f"results/local/tuning/*/{HEADER}"):
        try:
            json.loads(header.read_text())
        except ValueError as error:
            found.append(f"{header}: {error}")
    return found


def _model(path: Path) -> None:
    json.loads((path / CONFIG).read_text())
    with safe_open(path / WEIGHTS, framework="np") as file:
        if not file.keys():
            raise ValueError("no weights")


def _examples(path: Path) -> None:
    for file in ("inputs.npz", "output.npy"):
        loaded = np.load(path / file)
        _ = [loaded[name].sum() for name in loaded.files] if file.endswith("npz") else loaded.sum()


def _artifact(path: Path) -> None:
    digests = json.loads((path / MANIFEST).read_text())["sha256"]
    for file in (LIBRARY, PARAMS):
        if hashlib.sha256((path / file).read_bytes()).hexdigest() != digests[file]:
            raise ValueError(f"{file} has another digest than the manifest says")


def end_state(study: Study) -> dict[str, Any]:
    """Return everything in a workspace that an interruption must not change."""
    said = {
        kind: sorted({json.dumps([record[field] for field in fields]) for record in study.found(kind, {})})
        for kind, fields in _SAID.items()
    }
    workspace = study.build.parent
    files = {
        path.relative_to(workspace).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for pattern in (f"build/models/*/{WEIGHTS}", "build/examples/*/output.npy", f"build/artifacts/*/{PARAMS}")
        for path in sorted(workspace.glob(pattern))
    }
    return {**facts(study), **said, "files": files, "times done": _times_done(study)}


def _times_done(study: Study) -> dict[str, int]:
    """Count the records of each finished piece of work."""
    counts: dict[str, int] = {}
    for kind in _ONCE:
        for record in study.found(kind, {}):
            name = " ".join(str(record.get(field, "")) for field in ("kind", "engine", "scope", "block"))
            counts[name] = counts.get(name, 0) + 1
    return counts


def wrong(study: Study) -> int:
    """Count the encoders whose recorded error is too large for float32."""
    errors = [r["max_abs_err"] for kind in ("compile", "latency") for r in study.found(kind, {})]
    return sum(not error <= _WRONG_ABOVE for error in errors if error is not None)
