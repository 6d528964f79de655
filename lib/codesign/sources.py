"""Which sources decide what a record says: the digest of these is what a record names its code by.

A record counts, and is not measured again, while they are as they were. One that names too few would go on counting
after a change that it depends on; one that names too many is only measured once more. So rooms are listed whole, and a
kind that is not listed rests on everything.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path

_PACKAGE = Path(__file__).parent
_EVERYTHING = ("",)

_PRUNED = (
    *(
        "blocks.py",
        "bsr.py",
        "machine.py",
        "checkpoint.py",
        "encoder.py",
        "prune/",
        "corpus/sentences.py",
        "corpus/sources.py",
    ),
    *(f"study/{name}.py" for name in ("chain", "points", "pruned")),
)
_COMPILER = ("blocks.py", "bsr.py", "machine.py", "checkpoint.py", "encoder.py", "compiler/", "runtime.py")
_COMPILED = (*_PRUNED, *_COMPILER, "engines/", "study/compiled.py", "study/tuned.py")
_TIMED = (*_COMPILED, "measure/", "study/timed.py", "study/memory.py")

#: Kind of record -> beginnings of the names of its sources. A pruned model that was trained counts as weights from
#: elsewhere to all but its `accuracy`: what made them is not looked at again.
RESTS_ON: Mapping[str, tuple[str, ...]] = {
    "machine": ("machine.py",),
    "pattern": _PRUNED,
    "accuracy": (*_PRUNED, "corpus/", "train/", "study/trained.py"),
    "compile": _COMPILED,
    "task": _COMPILED,
    "tuning": _COMPILED,
    "latency": _TIMED,
    "protocol": (*_TIMED, "study/protocol.py"),
    "profile": (*_TIMED, "study/profiled.py"),
    "search": (*_COMPILED, "study/search.py", "study/replay.py"),
    "kernel": (*_COMPILED, *(f"study/{name}.py" for name in ("ceilings", "kernels", "problems", "screening"))),
    "ceiling": (*_COMPILER, "study/chain.py", "study/ceilings.py"),
}

#: What the sources above import and no record depends on: it checks, stores, finds or presents.
DECIDES_NOTHING = (
    *("errors.py", "schema/", "records.py", "sources.py", "study/__init__.py"),
    *(f"study/{name}.py" for name in ("evidence", "parameters", "places", "ways", "words")),
)


@functools.cache
def code_digest(kind: str) -> str:
    """Digest of the sources that records of ``kind`` rest on: 12 hex digits, the same in every clone."""
    return digest(_PACKAGE, RESTS_ON.get(kind, _EVERYTHING))


def digest(package: Path, beginnings: tuple[str, ...]) -> str:
    """Digest of the sources of a package whose names begin with any of these."""
    whole = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if name.startswith(beginnings):
            whole.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.hexdigest()[:12]
