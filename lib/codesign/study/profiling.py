"""Where the time of an inference goes: every kernel of a compiled encoder, timed inside the whole."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Any

from codesign import machine
from codesign.records import Record
from codesign.runtime import MANIFEST
from codesign.schema import WHOLE
from codesign.study.artefacts import artifact, running
from codesign.study.chain import Study
from codesign.study.points import Case

#: Inferences that are profiled, after some that are thrown away.
RUNS, DISCARD = 50, 5

#: Of the last record of a profile, which makes it complete.
_LAST = {"function_kind": WHOLE}


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
    manifest = json.loads((artifact(study, case) / MANIFEST).read_text(encoding="utf-8"))
    target = manifest["target"]
    key = f"{target['mcpu']}{''.join(target['mattr'])}-{target['threads']}t"
    row = {"function": "main", **_LAST, "calls": 1, "samples_ns": whole, "median_ns": statistics.median(whole)}
    for fields in (*kernels(runs, manifest["functions"]), row):
        study.append("profile", case.fields(), {"target": key, "max_abs_err": error}, fields)


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
