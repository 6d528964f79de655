"""What the same seed and profile give again: masks, patterns and tasks. Timings, and what was chosen by them, do not.

``python -m codesign.study.determinism`` compares what the smoke profile left here with the committed reference, and
names the first field that differs; with ``--write`` it replaces the reference.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from codesign.checkpoint import WEIGHTS
from codesign.records import RESULTS_ROOT, Record
from codesign.study import places
from codesign.study.chain import Study, open_study
from codesign.study.points import sweep
from codesign.study.profile_file import read
from codesign.study.pruned import files

REFERENCE = RESULTS_ROOT / "smoke" / "reference.json"
#: Relative: what is summed in another order on another processor.
TOLERANCE = 1e-6

#: Weights that were trained, or are compared with such, are left out: training sums in another order elsewhere.
_UNTRAINED = ("magnitude", "none")

_POINT = ("model", "seed", "scope", "pruner", "block", "sparsity", "batch", "seq", "threads")
#: What a pattern is; whether an instruction set is there, or a clock ticks faster, changes none of it.
_PATTERN = ("allocation", "element_sparsity", "block_sparsity", "retained_l2", "matrices")
#: What a task is. Its digest and its target are left out: they name the processor.
_TASK = ("task", "family_kind", "weight", "m", "n", "k", "nnz_blocks")


def facts(study: Study) -> dict[str, Any]:
    """Return everything that must come out again, from what this machine and this code left.

    Returns
    -------
    dict[str, Any]
        ``masks``: pruned weights -> matrix -> digest of which elements are stored; ``patterns``: fields of each
        `pattern` record; ``tasks``: what each compiled encoder consists of, sorted.
    """
    tasks: dict[str, dict[str, str]] = {}
    for record in filter(_untrained, study.found("task", {"isa": "native"})):
        tasks.setdefault(f"{record['engine']} {_name(record)}", {})[record["digest"]] = _task(record)
    return {
        "masks": masks(study.build / "models"),
        "patterns": {
            _name(r): {field: r[field] for field in _PATTERN} for r in filter(_untrained, study.found("pattern", {}))
        },
        "tasks": {name: sorted(found.values()) for name, found in sorted(tasks.items())},
    }


def masks(models: Path) -> dict[str, dict[str, str]]:
    """Digest which elements of each matrix are not zero, for every pruned encoder in a folder."""
    found = {}
    for weights in sorted(models.glob(f"[!.]*/{WEIGHTS}")):
        arrays = load_file(weights)
        found[weights.parent.name] = {
            name: hashlib.sha256(np.packbits(array != 0).tobytes()).hexdigest()[:16]
            for name, array in sorted(arrays.items())
            if name.startswith("encoder.") and array.ndim == 2
        }
    return found


def smoke_masks(study: Study) -> set[str]:
    """Name the pruned encoders that the smoke profile leaves behind."""
    profile = read(places.PROFILES / "smoke.yaml", ["smoke"])["common"]
    return {files(study, point).checkpoint.name for point in sweep(**profile)}


def first_difference(want: Any, got: Any, where: str = "") -> str | None:
    """Name the first field in which two values differ, depth first; None where they are equal."""
    if isinstance(want, dict) and isinstance(got, dict):
        for name in [*want, *(name for name in got if name not in want)]:
            if name not in got or name not in want:
                return f"{where}{name}: {'missing' if name in want else 'not expected'}"
            if found := first_difference(want[name], got[name], f"{where}{name} / "):
                return found
        return None
    if isinstance(want, list) and isinstance(got, list):
        if len(want) != len(got):
            return f"{where}{len(want)} expected, {len(got)} found"
        pairs = enumerate(zip(want, got, strict=True))
        return next((text for n, (a, b) in pairs if (text := first_difference(a, b, f"{where}{n} / "))), None)
    if isinstance(want, float) and isinstance(got, int | float):
        return None if math.isclose(want, got, rel_tol=TOLERANCE) else f"{where}{want} expected, {got} found"
    return None if want == got else f"{where}{want!r} expected, {got!r} found"


def _untrained(record: Record) -> bool:
    return record["pruner"] in _UNTRAINED


def _name(record: Record) -> str:
    return " ".join(str(record[field]) for field in _POINT)


def _task(record: Record) -> str:
    return " ".join(f"{field}={record[field]}" for field in _TASK if record[field] is not None)


def main() -> int:
    """Compare, or write with ``--write``; return 1 where something differs."""
    parser = argparse.ArgumentParser(prog="python -m codesign.study.determinism", description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace the committed reference")
    write = parser.parse_args().write
    study = open_study("local", "smoke")
    found = facts(study)
    kept = smoke_masks(study)
    found["masks"] = {name: each for name, each in found["masks"].items() if name in kept}
    if write:
        REFERENCE.parent.mkdir(exist_ok=True)
        places.write(REFERENCE, json.dumps(found, indent=1) + "\n")
        return 0
    difference = first_difference(json.loads(REFERENCE.read_text(encoding="utf-8")), json.loads(json.dumps(found)))
    if difference:
        print(f"the smoke profile gives something else than {REFERENCE}: {difference}", file=sys.stderr)
        return 1
    print(", ".join(f"{len(each)} {name}" for name, each in found.items()) + ": as in the reference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
