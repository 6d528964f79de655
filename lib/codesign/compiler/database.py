"""The tuning database of one target: opened, checked, asked."""

from __future__ import annotations

import json
import math
import os
import statistics
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import ms, tvm
from codesign.errors import InputError

#: Files of a database; the header names the target, which TVM's records do not.
HEADER, WORKLOADS, RECORDS = "target.json", "workloads.jsonl", "records.jsonl"
#: Samples of a trial. A record with more of them is a second look at one (`codesign.compiler.finalists`).
TRIAL_SAMPLES = 5


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
        if any((directory / name).exists() for name in (WORKLOADS, RECORDS)):
            raise InputError("database", str(directory), f"a {HEADER} beside the records, which says what they are for")
        directory.mkdir(parents=True, exist_ok=True)
        _write_header(header, spec)
    if not header.exists():
        raise InputError("database", str(directory), "a directory made by the tuner; run notebook 03_tune first")
    _check_header(header, spec)
    for name in (WORKLOADS, RECORDS):
        _drop_torn_line(directory / name)
    _check_lines(directory)
    paths = str(directory / WORKLOADS), str(directory / RECORDS)
    try:
        return ms.database.JSONDatabase(*paths, module_equality="structural")
    except Exception as error:  # TVM has an error type for each thing that it may not find
        reason = str(error).strip().splitlines()[-1]
        raise InputError("database", str(directory), f"readable tuning records ({reason})") from error


def _write_header(header: Path, spec: TargetSpec) -> None:
    work = header.with_name(f".{HEADER}.{os.getpid()}")
    work.write_text(json.dumps({"schema_version": 1, "tvm": tvm.__version__, **spec.fields()}) + "\n")
    work.replace(header)  # a kill leaves no half of it


def _check_header(header: Path, spec: TargetSpec) -> None:
    try:
        fields = json.loads(header.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError("database", str(header.parent), f"a readable {HEADER} ({error})") from None
    if not isinstance(fields, dict):
        raise InputError("database", str(header.parent), f"a JSON object in {HEADER}")
    fields.setdefault("mattr", [])  # a database of before had the name of a CPU that says it all
    if {name: fields.get(name) for name in spec.fields()} != spec.fields():
        found = f"{fields.get('mcpu')}{''.join(map(str, fields['mattr']))}-{fields.get('threads')}t"
        raise InputError("database", str(header.parent), f"records for {spec.key}, not {found}")


@cache
def _lines() -> tuple[Any, Any]:
    """What TVM's tuner writes: ``[hash, module]``, and ``[workload, [trace, seconds, target, arguments]]``."""
    from pydantic import Field, TypeAdapter  # takes as long to import as all else that a worker needs of this

    Digits = Annotated[str, Field(pattern=r"^\d+$")]
    Base64 = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/\n]+=*\s*$")]
    Trace = tuple[list[tuple[str, list, list, list]], list[tuple[int, Any]]]
    Record = tuple[Annotated[int, Field(ge=0)], tuple[Trace, list[float] | None, dict | None, list | None]]
    return TypeAdapter(tuple[Digits, Base64]), TypeAdapter(Record)


def _check_lines(directory: Path) -> None:
    """Refuse by line what TVM does not expect: it would say nothing about where, or read past an end and crash."""
    known = 0
    for path, kind in zip((directory / WORKLOADS, directory / RECORDS), _lines(), strict=True):
        lines = path.read_bytes().splitlines() if path.exists() else []
        for number, line in enumerate(lines, start=1):
            try:
                first, _ = kind.validate_json(line, strict=True)
                problem = "of no workload that is there" if path.name == RECORDS and first >= known else None
            except ValueError as error:
                problem = "; ".join(str(error).splitlines()[1:3])
            if problem:
                expected = f"readable tuning records ({path.name}:{number}: {problem})"
                raise InputError("database", str(directory), expected)
        known = len(lines)


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line without its end: a trial that was being written when the process was killed."""
    text = path.read_bytes() if path.exists() else b""
    if text and not text.endswith(b"\n"):
        path.write_bytes(text[: text.rfind(b"\n") + 1])


def trials(database: ms.Database, module: tvm.IRModule) -> list[Any]:
    """All trials of a task, failed ones included, the best first; none where all failed: it is tried again.

    A trial that was looked at again stands with what that found, before all that were not: the best of a task is one of
    its finalists.
    """
    if not database.has_workload(module):
        return []
    workload = database.commit_workload(module)
    found: dict[str, Any] = {}
    for record in database.get_all_tuning_records():
        if record.workload.same_as(workload):
            schedule = _schedule_of(record)
            known = found.setdefault(schedule, record)
            if len(record.run_secs or []) > len(known.run_secs or []):
                found[schedule] = record
    ordered = sorted(found.values(), key=lambda record: (not looked_at(record), seconds_of(record) or math.inf))
    return ordered if best_seconds(ordered) is not None else []


def _schedule_of(record: Any) -> str:
    """Steps of a trace as text, without those at its end that only look a block up: reading a schedule adds them."""
    steps = str(record.trace).splitlines()
    while steps and ".get_sblock(" in steps[-1]:
        steps.pop()
    return "\n".join(steps)


def looked_at(record: Any) -> bool:
    """Whether a record is a second look at a trial."""
    return len(record.run_secs or []) > TRIAL_SAMPLES


def seconds_of(record: Any) -> float | None:
    """Seconds a call: the mean of a trial, the median of a second look; None if it failed."""
    mean = mean_seconds(record.run_secs)
    return statistics.median(map(float, record.run_secs)) if mean is not None and looked_at(record) else mean


def best_record(database: ms.Database, module: tvm.IRModule) -> Any | None:
    """The record that a task is built from; None where no trial passed."""
    return next(iter(trials(database, module)), None)


def best_seconds(records: list[Any]) -> float | None:
    """Seconds a call of the best of `trials`."""
    return next((seconds for seconds in map(seconds_of, records) if seconds is not None), None)


def mean_seconds(run_secs: Any) -> float | None:
    """Mean of a trial's repeats; None if it failed, which TVM stores as an absurdly long time."""
    seconds = [float(s) for s in run_secs or []]
    return sum(seconds) / len(seconds) if seconds and max(seconds) < 1e3 else None
