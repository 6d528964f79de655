"""Steps 2 and 4: every point lowered to kernels, and built into artefacts that run without torch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from codesign import compiler
from codesign.blocks import DENSE, BlockShape
from codesign.compiler import Lowered, TargetSpec, target_spec
from codesign.engines import Job
from codesign.engines.client import Worker
from codesign.errors import MissingRecord
from codesign.records import Record
from codesign.study import places
from codesign.study.chain import Study
from codesign.study.points import Case
from codesign.study.pruned import require_files


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


def write_tasks(study: Study, case: Case, lowered: Lowered, database: Path | None) -> None:
    """Append a record of each task, with what the database knows of it."""
    tasks = compiler.task_records(lowered, database)
    for fields in tasks:
        study.append("task", case.fields(), {"target": lowered.spec.key, "tasks": len(tasks)}, fields)


def database(study: Study, spec: TargetSpec) -> Path:
    """Folder of the tuning database of one target."""
    return study.results.tuning(spec.key)


def committed_database(study: Study, spec: TargetSpec) -> Path | None:
    """Folder of the committed tuning database of this very machine and a target, None where there is none.

    Machines with the same instructions run the same code, but no schedule is the best on all of them.
    """
    for results in map(places.results, places.machines()):
        if results.tuning(spec.key).exists() and results.read("machine", machine_id=study.machine_id):
            return results.tuning(spec.key)
    return None


def artifact(study: Study, case: Case) -> Path:
    """Folder of the compiled encoder."""
    return study.build / "artifacts" / case.key()


def ensure_built(study: Study, cases: Sequence[Case]) -> list[Record]:
    """Build every case that still needs it and check its output; return the `compile` record of each, in order.

    Raises
    ------
    MissingRecord
        If a checkpoint, the tuning database or, reading committed results, a record is missing.
    """

    def built(case: Case) -> bool:
        return artifact(study, case).exists() and bool(study.found("compile", case.fields()))

    for case in study.left(cases, "building", built):
        spec, folder = target_spec(case.point.threads, case.isa), artifact(study, case)
        tuned = database(study, spec) if case.tuned else None
        if tuned and not tuned.exists():
            raise MissingRecord("tuning", case.fields(), "notebook 03_tune", tuned)
        start = time.monotonic()
        manifest = compiler.build(lower(study, case), tuned, folder)
        seconds = time.monotonic() - start
        about = {
            "target": spec.key,
            "artifact_bytes": sum(file.stat().st_size for file in folder.rglob("*")),
            "build_s": seconds,
            "bsr_linears": manifest["bsr_linears"],
            "dense_linears": manifest["dense_linears"],
            "functions": len(manifest["functions"]),
        }
        with running(study, case) as (_, error):
            study.append("compile", case.fields(), about, {"max_abs_err": error})
    return [study.newest("compile", case.fields()) for case in cases]


@contextmanager
def running(study: Study, case: Case) -> Iterator[tuple[Worker, float]]:
    """Start a built encoder; give it with the largest difference of its output from that of fp32 PyTorch."""
    where = require_files(study, case.point)
    paths = str(where.checkpoint), str(artifact(study, case)), str(where.inputs)
    with Worker(Job(case.engine, *paths, threads=case.point.threads)) as worker:
        worker.prepare()
        output, _ = worker.output()
        yield worker, float(np.abs(output - np.load(where.expected)).max())
