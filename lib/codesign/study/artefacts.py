"""Step 4: every encoder built into an artefact that runs without torch, and where the time of an inference goes."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from codesign import compiler, machine
from codesign.compiler import target_spec
from codesign.engines import Job
from codesign.engines.client import Worker, max_abs_error
from codesign.errors import MissingRecord
from codesign.records import Record
from codesign.runtime import MANIFEST
from codesign.schema.parts import WHOLE
from codesign.study.chain import Study
from codesign.study.lowered import lower
from codesign.study.points import Case
from codesign.study.pruned import require_files
from codesign.study.tuning import database

#: Inferences that are profiled, after some that are thrown away.
RUNS, DISCARD = 30, 5
#: Of the last record of a profile, which makes it complete.
_LAST = {"function_kind": WHOLE}


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
        about = {"target": spec.key, "build_s": time.monotonic() - start, "functions": len(manifest["functions"])}
        about |= {name: manifest[name] for name in ("bsr_linears", "dense_linears")}
        about["artifact_bytes"] = sum(file.stat().st_size for file in folder.rglob("*"))
        with running(study, case) as (_, error):
            study.append("compile", case.fields(), about, {"max_abs_err": error})
    return [study.newest("compile", case.fields()) for case in cases]


@contextmanager
def running(study: Study, case: Case) -> Iterator[tuple[Worker, float]]:
    """Start a built encoder; give it with the largest difference of its outputs from those of fp32 PyTorch."""
    where = require_files(study, case.point)
    paths = str(where.checkpoint), str(artifact(study, case)), str(where.inputs)
    with Worker(Job(case.engine, *paths, threads=case.point.threads)) as worker:
        worker.prepare()
        outputs, _ = worker.output()
        yield worker, max_abs_error(outputs, where.expected)


def ensure_profiled(study: Study, cases: Sequence[Case]) -> list[Record]:
    """Profile every case that still needs it; return the `profile` records of all cases, newest profile of each.

    Raises
    ------
    MissingRecord
        If an artefact or, reading committed results, a record is missing.
    """
    for case in study.left(cases, "profiling", lambda case: study.found("profile", case.fields() | _LAST)):
        _profile(study, case)
    runs = [case.fields() | {"run_id": study.newest("profile", case.fields() | _LAST)["run_id"]} for case in cases]
    return [record for fields in runs for record in study.found("profile", fields)]


def _profile(study: Study, case: Case) -> None:
    with machine.exclusive(f"profiling {case}"), running(study, case) as (worker, error):
        whole, _ = worker.run(calls=RUNS, discard=DISCARD)
        runs = worker.profile(runs=RUNS, discard=DISCARD)
    kinds = json.loads((artifact(study, case) / MANIFEST).read_text(encoding="utf-8"))["functions"]
    row = {"function": "main", **_LAST, "calls": 1, "samples_ns": whole, "median_ns": statistics.median(whole)}
    about = {"target": target_spec(case.point.threads, case.isa).key, "max_abs_err": error}
    for fields in (*kernels(runs, kinds), row):
        study.append("profile", case.fields(), about, fields)


def kernels(runs: Sequence[dict[str, list[int]]], kinds: dict[str, str]) -> list[dict[str, Any]]:
    """Sum up each kernel's calls in an inference.

    Parameters
    ----------
    runs
        For each inference: function -> nanoseconds of each call. What is no kernel (TVM's own bookkeeping, whose calls
        are shorter than looking at them) is left out.
    kinds
        Kernel -> kind.

    Returns
    -------
    list[dict]
        ``samples_ns`` holds one sum for each inference, ``median_ns`` their median; the longest kernel comes first.
    """
    rows = []
    for name, kind in kinds.items():
        samples = [sum(run[name]) for run in runs if name in run]
        if samples:
            calls = len(runs[0][name])
            row = {"function": name, "function_kind": kind, "calls": calls, "samples_ns": samples}
            rows.append({**row, "median_ns": statistics.median(samples)})
    return sorted(rows, key=lambda row: -row["median_ns"])
