"""Where the time of an inference goes: every kernel of a compiled encoder, timed inside the whole."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from codesign import machine
from codesign.engines import Job
from codesign.engines.client import Worker
from codesign.records import Record
from codesign.runtime import MANIFEST
from codesign.schema import WHOLE
from codesign.study.chain import Study, track
from codesign.study.compiled import artifact
from codesign.study.points import Case
from codesign.study.pruned import require_files

#: Inferences that are profiled, after some that are thrown away.
RUNS, DISCARD = 50, 5


def ensure_profiled(study: Study, cases: Sequence[Case]) -> list[Record]:
    """Profile every case that still needs it; return the `profile` records of all cases, newest profile of each.

    Raises
    ------
    MissingRecord
        If an artefact or, reading committed results, a record is missing.
    """
    if study.local:
        for case in track([case for case in cases if not _complete(study, case)], "profiling"):
            _profile(study, case)
    return [record for case in cases for record in profile_of(study, case)]


def _complete(study: Study, case: Case) -> bool:
    """Whether a profile of the case was finished; its last record is that of the whole."""
    return bool(study.found("profile", case.fields() | {"function_kind": WHOLE}))


def profile_of(study: Study, case: Case) -> list[Record]:
    """Return the records of a case's newest profile, the whole inference among them.

    Raises
    ------
    MissingRecord
        If there is none.
    """
    last = study.newest("profile", case.fields() | {"function_kind": WHOLE})
    return study.found("profile", case.fields() | {"run_id": last["run_id"]})


def _profile(study: Study, case: Case) -> None:
    where, compiled = require_files(study, case.point), artifact(study, case)
    manifest = json.loads((compiled / MANIFEST).read_text(encoding="utf-8"))
    job = Job(case.engine, str(where.checkpoint), str(compiled), str(where.inputs), threads=case.point.threads)
    with machine.exclusive(f"profiling {case}"), Worker(job) as worker:
        worker.prepare()
        output, _ = worker.output()
        whole, _ = worker.run(calls=RUNS, discard=DISCARD)
        runs = worker.profile(runs=RUNS, discard=DISCARD)
    target = manifest["target"]
    common = {
        "target": f"{target['mcpu']}{''.join(target['mattr'])}-{target['threads']}t",
        "max_abs_err": float(np.abs(output - np.load(where.expected)).max()),
    }
    for row in kernels(runs, manifest["functions"]):
        study.append("profile", case.fields(), common, row)
    # Last: the whole is what makes a profile complete.
    row = {"function": "main", "function_kind": WHOLE, "calls": 1, "samples_ns": whole}
    study.append("profile", case.fields(), common, row, {"median_ns": statistics.median(whole)})


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
