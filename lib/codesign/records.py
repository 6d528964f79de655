"""Results: JSON Lines, one record a line. This module alone reads and writes them.

A record is a flat JSON object. Its ``kind`` decides which file it lives in (``<root>/<machine>/<kind>.jsonl``) and
which fields it must have (`codesign.schema`). Files are only ever appended to, one whole line at a time.
"""

from __future__ import annotations

import fcntl
import functools
import importlib.metadata
import json
import os
import platform
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from codesign.errors import InputError, MissingRecord, RecordError
from codesign.schema import KINDS, Record, defaults, validate
from codesign.schema.parts import SCHEMA_VERSION

__all__ = ["KINDS", "LOCAL", "RESULTS_ROOT", "Record", "Results", "commit", "new_run_id", "stamp", "validate"]

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS_ROOT = REPOSITORY / "book" / "results"
#: The folder of what is measured here; git ignores it. Every other folder is a machine whose records are committed.
LOCAL = "local"


@dataclass(frozen=True)
class Results:
    """The results of one machine: a folder of ``root``.

    Parameters
    ----------
    machine
        Name of the folder: that of a machine whose results are committed, or `LOCAL`.
    root
        Folder that holds all of them; the book's by default.
    """

    machine: str
    root: Path = RESULTS_ROOT

    @property
    def local(self) -> bool:
        """Whether these are the results of this machine, to which a run appends."""
        return self.machine == LOCAL

    @property
    def directory(self) -> Path:
        """Folder of these results."""
        return self.root / self.machine

    def path(self, kind: str) -> Path:
        """File that holds records of ``kind``; it need not exist yet."""
        if kind not in KINDS:
            raise InputError("kind", kind, f"one of {', '.join(KINDS)}")
        return self.directory / f"{kind}.jsonl"

    def tuning(self, target_key: str) -> Path:
        """Folder of the tuning database of one target: databases do not know their target, so each has its own."""
        return self.directory / "tuning" / target_key

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record as one line, on disk before this returns.

        A line that a killed run left torn was never a record, since its run had not gone on: it makes way. On a full
        disk nothing is left of the new one.

        Raises
        ------
        RecordError
            If the record breaks the schema, or it is a committed file that ends in a torn line.
        """
        validate(record)
        try:
            line = json.dumps(record, allow_nan=False, ensure_ascii=False) + "\n"
        except ValueError:
            raise RecordError(f"{record['kind']} record: a number is NaN or infinite") from None
        path = self.path(record["kind"])
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # released by close
            size = file.seek(0, os.SEEK_END)
            if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
                content = path.read_bytes()
                if not self.local:
                    _refuse_torn(path, content.count(b"\n") + 1)
                size = content.rfind(b"\n") + 1
                if _is_record(content[size:]):
                    size, line = len(content), "\n" + line
                file.truncate(size)
            try:
                left = memoryview(line.encode())
                while left:  # a disk that fills up takes a part, and says no only to the rest
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise

    def read(self, kind: str, **filters: object) -> list[Record]:
        """Records of ``kind`` whose fields equal ``filters``, in the order they were written.

        Raises
        ------
        InputError
            If a filter is not a field of this kind: a misspelt filter must not read as "no such record".
        RecordError
            Naming file and line of a record that breaks the schema, or of a torn one in a committed file. (In a local
            file a torn last line is being written, or was when its run was killed.)
        """
        path = self.path(kind)
        fields = KINDS[kind].model_fields
        for name in filters.keys() - fields.keys():
            raise InputError("filter", name, f"a field of {kind!r} records: {', '.join(fields)}")
        wanted = filters.items()
        records = _read_lines(path, kind, torn=self.local)
        return [record for record in records if all(record[name] == value for name, value in wanted)]

    def one(self, kind: str, **filters: object) -> Record:
        """Return the newest record that `read` finds.

        Raises
        ------
        MissingRecord
            If there is none; names the notebook that makes it.
        """
        matches = self.read(kind, **filters)
        if not matches:
            raise MissingRecord(kind, filters, KINDS[kind].producer)
        return sorted(matches, key=lambda record: str(record["started_at"]))[-1]


def _read_lines(path: Path, kind: str, *, torn: bool) -> Iterator[Record]:
    if not path.exists():
        return
    lines = path.read_bytes().split(b"\n")
    tail = lines.pop()
    if tail and not torn:
        _refuse_torn(path, len(lines) + 1)
    if _is_record(tail):
        lines.append(tail)
    for number, line in enumerate(lines, start=1):
        try:
            record = _parse(line)
            if record["kind"] != kind:
                raise RecordError(f"field 'kind' is {record['kind']!r} in a file of {kind!r} records")
        except (ValueError, AttributeError, RecursionError) as error:
            what = "" if isinstance(error, RecordError) else "not a JSON object: "
            raise RecordError(f"{path}:{number}: {what}{error}") from None
        yield defaults(kind) | record


@functools.lru_cache(maxsize=1 << 14)
def _parse(line: bytes) -> Record:
    """Parse and check one line. A file is read for every point of a study, and checking is what takes the time."""
    record = json.loads(line)
    validate(record)
    return record


def _is_record(line: bytes) -> bool:
    """Whether the end of a file is a record that lacks nothing but the end of its line."""
    try:
        _parse(line)
    except (ValueError, AttributeError, RecursionError):
        return False
    return True


def _refuse_torn(path: Path, number: int) -> NoReturn:
    raise RecordError(f"{path}:{number}: torn line, left by an interrupted write; delete this last line")


#: Distributions whose version can change a result.
VERSIONED = ("apache-tvm", "apache-tvm-ffi", "numpy", "onnx", "onnxruntime", "openvino", "torch", "transformers")


def stamp(kind: str, *, profile: str, run_id: str, machine_id: str) -> Record:
    """Start a record: the fields of `codesign.schema.parts.Stamp`, ``schema_version`` first.

    ``commit`` is the git commit, with ``-dirty`` where the checkout differs from it outside the results;
    ``measurement`` is the version of what this kind measures; ``started_at`` is the time of this call (ISO 8601, UTC).
    """
    versions = {"python": platform.python_version()}
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "run_id": run_id,
        "profile": profile,
        "machine_id": machine_id,
        "versions": versions | {name: importlib.metadata.version(name) for name in VERSIONED},
        "commit": commit(),
        "measurement": KINDS[kind].measurement_version,
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def new_run_id() -> str:
    """Return a name that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}"


@functools.cache
def commit() -> str:
    """Commit this process runs from: hash, ``-dirty`` if the sources differ from it, ``unknown`` outside a clone."""
    try:
        head = _git("rev-parse", "HEAD")
        return head + ("-dirty" if _git("status", "--porcelain", "--", ".", ":!book/results") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout.strip()
