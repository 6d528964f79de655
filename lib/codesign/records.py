"""Results: JSON Lines, one record a line. This module alone reads and writes them.

A record is a flat JSON object. Its ``kind`` decides which file it lives in (``<root>/<mode>/<kind>.jsonl``) and which
fields it must have (`codesign.schema`). Files are only ever appended to, one whole line at a time.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
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
from typing import Any, Literal, NoReturn

from codesign.errors import InputError, MissingRecord, RecordError
from codesign.schema import KINDS, SCHEMA_VERSION, STAMP, Record, validate

__all__ = ["KINDS", "Record", "Results", "code_digest", "commit", "new_run_id", "stamp", "validate"]

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS_ROOT = REPOSITORY / "book" / "results"


@dataclass(frozen=True)
class Results:
    """The results of one mode: ``reference`` (committed) or ``local`` (this machine, ignored by git).

    Parameters
    ----------
    mode
        ``"reference"`` or ``"local"``.
    root
        Folder that holds both modes; the book's by default.
    """

    mode: Literal["reference", "local"]
    root: Path | None = None

    def __post_init__(self) -> None:
        if self.mode not in ("reference", "local"):
            raise InputError("results", self.mode, "'reference' or 'local'")

    @property
    def directory(self) -> Path:
        """Folder of this mode."""
        return (self.root or RESULTS_ROOT) / self.mode

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

        Raises
        ------
        RecordError
            If the record breaks the schema, or the file ends in a line that a killed run left torn.
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
            if (size := file.seek(0, os.SEEK_END)) and os.pread(file.fileno(), 1, size - 1) != b"\n":
                _refuse_torn(path, path.read_bytes().count(b"\n") + 1)
            file.write(line.encode())
            os.fsync(file.fileno())

    def read(self, kind: str, **filters: object) -> list[Record]:
        """Records of ``kind`` whose fields equal ``filters``, in the order they were written.

        Raises
        ------
        InputError
            If a filter is not a field of this kind: a misspelt filter must not read as "no such record".
        RecordError
            Naming file and line of a record that is torn or breaks the schema.
        """
        path = self.path(kind)
        fields = STAMP | KINDS[kind].fields | KINDS[kind].absent
        for name in filters.keys() - fields.keys():
            raise InputError("filter", name, f"a field of {kind!r} records: {', '.join(fields)}")
        wanted = filters.items()
        return [record for record in _read_lines(path, kind) if all(record[name] == value for name, value in wanted)]

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


def _read_lines(path: Path, kind: str) -> Iterator[Record]:
    if not path.exists():
        return
    lines = path.read_bytes().split(b"\n")
    if lines.pop():
        _refuse_torn(path, len(lines) + 1)
    for number, line in enumerate(lines, start=1):
        try:
            record = _parse(line)
            if record["kind"] != kind:
                raise RecordError(f"field 'kind' is {record['kind']!r} in a file of {kind!r} records")
        except (json.JSONDecodeError, UnicodeDecodeError, AttributeError) as error:
            raise RecordError(f"{path}:{number}: not a JSON object: {error}") from None
        except RecordError as error:
            raise RecordError(f"{path}:{number}: {error}") from None
        yield KINDS[kind].absent | record


@functools.lru_cache(maxsize=1 << 14)
def _parse(line: bytes) -> Record:
    """Parse and check one line. A file is read for every point of a study, and checking is what takes the time."""
    record = json.loads(line)
    validate(record)
    return record


def _refuse_torn(path: Path, number: int) -> NoReturn:
    raise RecordError(f"{path}:{number}: torn line, left by an interrupted write; delete this last line to go on")


#: Distributions whose version can change a result.
VERSIONED = ("apache-tvm", "apache-tvm-ffi", "numpy", "onnx", "onnxruntime", "openvino", "torch", "transformers")


def stamp(kind: str, *, profile: str, run_id: str, machine_id: str) -> Record:
    """Start a record: the fields of `schema.STAMP`, ``schema_version`` first.

    ``commit`` is the git commit, with ``-dirty`` where the checkout differs from it outside the results, and
    ``code`` is `code_digest`; ``started_at`` is the time of this call (ISO 8601, UTC).
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
        "code": code_digest(),
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


#: Sources that start work or present results, without taking part in making them.
PRESENTATION = (
    *("cli.py", "doctor.py", "pipeline.py"),
    *(f"study/{name}" for name in ("accuracy", "bench", "claims", "crossover", "evidence", "example", "figures")),
    *(f"study/{name}" for name in ("kernel_", "ledger", "lint", "numbers", "packaged", "parameters", "profiles")),
    *(f"study/{name}" for name in ("roofline", "swept", "tables", "timings", "ways", "words")),
)


@functools.cache
def code_digest() -> str:
    """Digest of the package's sources, leaving out `PRESENTATION`: 12 hex digits, the same in every clone."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if not name.startswith(PRESENTATION):
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
