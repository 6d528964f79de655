"""What a workspace holds: what is finished, what is damaged, and everything in it that is not a timing."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from tests.quick_reference import differences, facts
from tests.soak.chain import study_in
from tests.soak.tally import Tally

from codesign import checkpoint
from codesign.checkpoint import WEIGHTS
from codesign.compiler.database import HEADER
from codesign.engines.base import load_arrays
from codesign.errors import RecordError
from codesign.records import LOCAL, Results
from codesign.runtime import LIBRARY, MANIFEST, PARAMS
from codesign.schema import KINDS
from codesign.study.chain import Study

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
    folder = workspace / "results" / LOCAL
    return {path.name: path.read_bytes().split(b"\n")[:-1] for path in sorted(folder.glob("*.jsonl"))}


def lost(before: dict[str, list[bytes]], after: dict[str, list[bytes]]) -> list[str]:
    """Name the files in which a line that was finished before is not there, or not where it was."""
    return [
        f"{name} lost a finished line" for name, lines in before.items() if after.get(name, [])[: len(lines)] != lines
    ]


def damage(workspace: Path) -> list[str]:
    """Name what stands where a finished thing belongs and is not one."""
    results = Results(LOCAL, workspace / "results")
    build = workspace / "build"
    read = [(kind, results.read) for kind in KINDS]
    read += [(path, _model) for path in build.glob("models/[!.]*")]
    read += [(path, _examples) for path in build.glob("examples/[!.]*")]
    read += [(path, _artifact) for path in build.glob("artifacts/[!.]*")]
    read += [(path, _object) for path in results.directory.glob(f"tuning/*/{HEADER}")]
    found = []
    for what, whole in read:
        try:
            whole(what)
        except (RecordError, OSError, ValueError, KeyError, EOFError, SafetensorError) as error:
            found.append(f"{what}: {type(error).__name__}: {error}"[:300])
    return found


def _model(path: Path) -> None:
    checkpoint.inspect(path.name, path)


def _examples(path: Path) -> None:
    for name in ("inputs.npz", "outputs.npz"):
        load_arrays(path / name)


def _object(path: Path) -> Any:
    return json.loads(path.read_text())


def _artifact(path: Path) -> None:
    for file in (LIBRARY, PARAMS):
        if _digest(path / file) != _object(path / MANIFEST)["sha256"][file]:
            raise ValueError(f"{file} has another digest than the manifest says")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def end_state(study: Study) -> dict[str, Any]:
    """Return everything in a workspace that an interruption must not change."""
    said = {
        kind: sorted({json.dumps([record[field] for field in fields]) for record in study.found(kind, {})})
        for kind, fields in _SAID.items()
    }
    times_done = Counter(
        " ".join(str(record.get(field, "")) for field in ("kind", "engine", "scope", "block"))
        for kind in _ONCE
        for record in study.found(kind, {})
    )
    workspace = study.build.parent
    kept = (f"build/models/*/{WEIGHTS}", "build/examples/*/outputs.npz", f"build/artifacts/*/{PARAMS}")
    files = {str(path.relative_to(workspace)): _digest(path) for pattern in kept for path in workspace.glob(pattern)}
    return {**facts(study), **said, "files": files, "times done": times_done}


def compare(tally: Tally, expected: dict[str, Any], workspace: Path) -> None:
    """Count what an interrupted chain came to that one which nobody touched does not, and encoders that are wrong."""
    study = study_in(workspace)
    errors = [record["max_abs_err"] for kind in ("compile", "latency") for record in study.found(kind, {})]
    tally.wrong += sum(not error <= _WRONG_ABOVE for error in errors if error is not None)
    if found := differences(expected, end_state(study)):
        tally.lose(f"the end differs from that of an undisturbed run: {found[0]}, and {len(found) - 1} more")
