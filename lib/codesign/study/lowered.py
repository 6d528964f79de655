"""Step 2: every encoder lowered to kernels, and which tuning tasks it then has."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

from codesign import compiler
from codesign.blocks import DENSE, BlockShape
from codesign.compiler import Lowered, target_spec
from codesign.compiler.operators import Linear
from codesign.encoder import RANDOM_MODELS, load_encoder, save_checkpoint
from codesign.engines import find
from codesign.errors import InputError
from codesign.records import Record
from codesign.study.chain import Study
from codesign.study.points import Case, Point
from codesign.study.pruned import prune_as, require_files


def lower(study: Study, case: Case) -> Lowered:
    """Lower a case's pruned checkpoint with its pipeline; engines that compute zeros store them."""
    point = case.point
    return compiler.lower_encoder(
        require_files(study, point).checkpoint,
        block=None if case.block == DENSE else BlockShape.parse(case.block),
        batch=point.batch,
        seq=point.seq,
        spec=target_spec(point.threads, case.isa),
        pipeline=case.pipeline,
        layout=case.layout,
        strips=case.strips,
        format=find(case.engine).format,
    )


def ensure_lowered(study: Study, cases: Sequence[Case]) -> list[Record]:
    """Lower every case that still needs it; return the `task` records of all cases: each task once, newest first seen.

    Raises
    ------
    MissingRecord
        If a checkpoint or, reading committed results, a record is missing.
    """

    def lowered(case: Case) -> bool:  # a run may have been killed between two records
        found = study.found("task", case.fields())
        return bool(found) and len({record["digest"] for record in found}) >= found[-1]["tasks"]

    for case in study.left(cases, "lowering", lowered):
        write_tasks(study, case, lower(study, case), database=None)
    return [record for case in cases for record in tasks_of(study, case)]


def tasks_of(study: Study, case: Case) -> list[Record]:
    """Return the newest record of each task of a case.

    Raises
    ------
    MissingRecord
        If there is none.
    """
    newest = {record["digest"]: record for record in study.found("task", case.fields())}
    return list(newest.values()) or [study.newest("task", case.fields())]


def is_tuned(study: Study, case: Case) -> bool:
    """Whether a task of a case was recorded with trials."""
    return any(task["trials"] for task in study.found("task", case.fields()))


def write_tasks(study: Study, case: Case, lowered: Lowered, database: Path | None) -> None:
    """Append a record of each task, with what the database knows of it."""
    tasks = compiler.task_records(lowered, database)
    for fields in tasks:
        study.append("task", case.fields(), {"target": lowered.spec.key, "tasks": len(tasks)}, fields)


def ensure_identity(study: Study, points: Sequence[Point], allocations: Sequence[str]) -> list[Record]:
    """Extract the tasks of every pruned point under every allocation that still needs it; return their records.

    Nothing is timed. A record keeps every linear task as the operator that it computes, so what padding would make of
    it follows from the record.

    Raises
    ------
    InputError
        If an allocation is unknown, or cannot reach the sparsity of a point.
    MissingRecord
        Reading committed results, if they lack a case.
    """
    cases = {
        f"{point.key()}, {allocation}": (point, allocation, point.fields() | {"allocation": allocation})
        for point, allocation in product(points, allocations)
    }

    def known(name: str) -> list[Record]:
        return study.found("identity", cases[name][2])

    for name in study.left(list(cases), "extracting the tasks of", known):
        point, allocation, fields = cases[name]
        lowered = lower_allocated(point, allocation)
        weights = "random" if point.model in RANDOM_MODELS else "pretrained"
        study.append("identity", fields, {"target": lowered.spec.key, "weights": weights, "tasks": describe(lowered)})
    return [study.newest("identity", fields) for *_, fields in cases.values()]


def lower_allocated(point: Point, allocation: str) -> Lowered:
    """Prune a model with a budget divided by ``allocation``, and lower it; it leaves no checkpoint behind."""
    if point.shape is None:
        raise InputError("block", point.block, "the block shape of a pruned point", "32x1")
    model = load_encoder(point.model, seed=point.seed)
    prune_as(point, model, allocation)
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
