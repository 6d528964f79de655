"""What the same seed and profile give again: masks, patterns and tasks. Timings, and what was chosen by them, do not.

``python -m tests.quick_reference`` makes what the quick profile left here the committed one; tests/quick compares.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from codesign.checkpoint import WEIGHTS
from codesign.records import RESULTS_ROOT, Record
from codesign.study import places
from codesign.study.chain import Study, open_study
from codesign.study.points import sweep
from codesign.study.profile_file import read
from codesign.study.pruned import files

REFERENCE = RESULTS_ROOT / "quick" / "reference.json"

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
    patterns, tasks = (
        [record for record in study.found(kind, fields) if record["pruner"] in _UNTRAINED]
        for kind, fields in (("pattern", {}), ("task", {"isa": "native"}))
    )
    encoders: dict[str, dict[str, str]] = {}
    for record in tasks:
        said = " ".join(f"{field}={record[field]}" for field in _TASK if record[field] is not None)
        encoders.setdefault(f"{record['engine']} {_name(record)}", {})[record["digest"]] = said
    return {
        "masks": masks(study.build / "models"),
        "patterns": {_name(record): {field: record[field] for field in _PATTERN} for record in patterns},
        "tasks": {name: sorted(found.values()) for name, found in sorted(encoders.items())},
    }


def quick_facts() -> dict[str, Any]:
    """Return the facts of the quick profile alone: what else was pruned here is left out."""
    study = open_study("local", "quick")
    found = facts(study)
    return found | {"masks": {name: found["masks"].get(name) for name in quick_masks(study)}}


def masks(models: Path) -> dict[str, dict[str, str]]:
    """Digest which elements of each matrix are not zero, for every pruned encoder in a folder."""
    return {
        weights.parent.name: {
            name: hashlib.sha256(np.packbits(array != 0).tobytes()).hexdigest()[:16]
            for name, array in sorted(load_file(weights).items())
            if name.startswith("encoder.") and array.ndim == 2
        }
        for weights in sorted(models.glob(f"[!.]*/{WEIGHTS}"))
    }


def quick_masks(study: Study) -> list[str]:
    """Name the pruned encoders that the quick profile leaves behind."""
    profile = read(places.PROFILES / "quick.yaml")["common"]
    return sorted({files(study, point).checkpoint.name for point in sweep(**profile)})


def differences(want: Any, got: Any) -> list[str]:
    """Name every value inside in which two values differ, by its path; a millionth is a sum in another order."""
    wanted, found = dict(_leaves(want)), dict(_leaves(got))
    return [
        f"{path}: {wanted.get(path, 'nothing')!r} expected, {found.get(path, 'nothing')!r} found"
        for path in wanted | found
        if wanted.get(path, "nothing") != pytest.approx(found.get(path, "nothing"))
    ]


def _leaves(value: Any, *path: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict | list):
        return [(" / ".join(path), value)]
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [leaf for name, item in items for leaf in _leaves(item, *path, str(name))]


def _name(record: Record) -> str:
    return " ".join(str(record[field]) for field in _POINT)


if __name__ == "__main__":
    REFERENCE.parent.mkdir(exist_ok=True)
    places.write(REFERENCE, json.dumps(quick_facts(), indent=1) + "\n")
