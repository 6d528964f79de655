"""The tuning database of one target: opened, checked, asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import ms, tvm
from codesign.errors import InputError

#: Files of a database; the header names the target, which TVM's records do not.
HEADER, WORKLOADS, RECORDS = "target.json", "workloads.jsonl", "records.jsonl"


class MissingTask(LookupError):
    """A task of the model is not in the database; running it untuned would give a wrong answer silently."""


def open_database(directory: Path, spec: TargetSpec, *, create: bool = False) -> ms.Database:
    """Open the database in ``directory``.

    Parameters
    ----------
    directory
        One database per (target, threads).
    spec
        Must be the target that the database was tuned for.
    create
        Make an empty one where there is none.

    Raises
    ------
    InputError
        If there is no database, it belongs to another target, or a line of it cannot be read.
    """
    header = directory / HEADER
    if create and not header.exists():
        directory.mkdir(parents=True, exist_ok=True)
        header.write_text(json.dumps({"schema_version": 1, "tvm": tvm.__version__, **spec.fields()}) + "\n")
    if not header.exists():
        raise InputError("database", str(directory), "a directory made by the tuner; run notebook 03_tune first")
    fields = json.loads(header.read_text())
    if {name: fields.get(name) for name in spec.fields()} != spec.fields():
        raise InputError(
            "database", str(directory), f"records for {spec.key}, not {fields['mcpu']}-{fields['threads']}t"
        )
    for name in (WORKLOADS, RECORDS):
        _drop_torn_line(directory / name)
    paths = str(directory / WORKLOADS), str(directory / RECORDS)
    try:
        return ms.database.JSONDatabase(*paths, module_equality="structural")
    except tvm.error.TVMError as error:
        raise InputError("database", str(directory), f"readable tuning records ({error})") from error


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line without its end: a trial that was being written when the process was killed."""
    if not path.exists():
        return
    text = path.read_bytes()
    if text and not text.endswith(b"\n"):
        path.write_bytes(text[: text.rfind(b"\n") + 1])


def trials(database: ms.Database, module: tvm.IRModule) -> list[Any]:
    """All records of a task, failed ones included, the fastest first."""
    if not database.has_workload(module):
        return []
    workload = database.commit_workload(module)
    return [record for record in database.get_all_tuning_records() if record.workload.same_as(workload)]


def best_seconds(records: list[Any]) -> float | None:
    """The fastest mean of a task's valid records, in seconds a call."""
    means = [mean_seconds(record.run_secs) for record in records]
    valid = [mean for mean in means if mean is not None]
    return min(valid) if valid else None


def mean_seconds(run_secs: Any) -> float | None:
    """Mean of a trial's repeats; None if it failed, which TVM stores as an absurdly long time."""
    seconds = [float(s) for s in run_secs or []]
    return sum(seconds) / len(seconds) if seconds and max(seconds) < 1e3 else None
