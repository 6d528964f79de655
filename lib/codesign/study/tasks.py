"""Which tuning tasks a pruned model has, by block shape and by how the budget is divided among its matrices.

Nothing is timed. Each case is pruned, lowered as for tuning, and its tasks are extracted after fusion; a record keeps
every linear task as the operator that it computes, so what padding would make of it follows from the record.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

from codesign import compiler
from codesign.compiler import Lowered, target_spec
from codesign.compiler.operators import Linear
from codesign.encoder import RANDOM_MODELS, load_encoder, save_checkpoint
from codesign.errors import InputError
from codesign.progress import duration, say, track
from codesign.prune import prune_model
from codesign.records import Record
from codesign.study.chain import Study
from codesign.study.points import Point

#: For the estimate that is printed first: seconds to prune and lower BERT-base; smaller models take less.
_CASE_S = 8.0


def ensure_identity(study: Study, points: Sequence[Point], allocations: Sequence[str]) -> list[Record]:
    """Extract the tasks of every pruned point under every allocation that still needs it; return their records.

    Raises
    ------
    InputError
        If an allocation is unknown, or cannot reach the sparsity of a point.
    MissingRecord
        Reading committed results, if they lack a case.
    """
    cases = [(point, point.fields() | {"allocation": allocation}) for point, allocation in product(points, allocations)]
    if study.local:
        todo = [case for case in cases if not study.found("identity", case[1])]
        if todo:
            say(f"{len(todo)} models to lower: at most about {duration(len(todo) * _CASE_S)}")
        names = [f"{point}, {fields['allocation']}" for point, fields in todo]
        for (point, fields), _ in zip(todo, track(names, "extracting the tasks of"), strict=True):
            lowered = lower_allocated(point, fields["allocation"])
            weights = "random" if point.model in RANDOM_MODELS else "pretrained"
            about = {"target": lowered.spec.key, "weights": weights, "tasks": describe(lowered)}
            study.append("identity", fields, about)
    return [study.newest("identity", fields) for _, fields in cases]


def lower_allocated(point: Point, allocation: str) -> Lowered:
    """Prune a model with a budget divided by ``allocation``, and lower it; it leaves no checkpoint behind."""
    if point.shape is None:
        raise InputError("block", point.block, "the block shape of a pruned point", "32x1")
    model = load_encoder(point.model, seed=point.seed)
    prune_model(
        model,
        scope=point.scope,
        pruner=point.pruner,
        block=point.shape,
        sparsity=point.sparsity,
        seed=point.seed,
        allocation=allocation,
    )
    spec = target_spec(point.threads)
    with tempfile.TemporaryDirectory(prefix="codesign-identity-") as scratch:
        directory = Path(scratch) / "model"
        save_checkpoint(model, directory, point.fields() | {"allocation": allocation})
        # strips change no task's identity
        return compiler.lower_encoder(
            directory, block=point.shape, batch=point.batch, seq=point.seq, spec=spec, strips=False
        )


def describe(lowered: Lowered) -> list[dict[str, Any]]:
    """Describe each task of a lowered model: digest, uses, what kind it is, and its operator where it is a linear."""
    return [
        {
            "digest": task.digest,
            "weight": task.weight,
            "family_kind": task.fields()["family_kind"],
            "linear": asdict(task.operator) if isinstance(task.operator, Linear) else None,
        }
        for task in compiler.extract_tasks([lowered])
    ]
