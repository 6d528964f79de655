"""Which sources decide what a record says: the digest of these is what a record names its code by.

A record counts, and is not measured again, while they are as they were. One that names too few would go on counting
after a change that it depends on; one that names too many is only measured once more. So rooms are listed whole, and a
kind that is not listed rests on everything.

A change that cannot alter what any record says (a message, a crash that left no record) may be declared in
`UNCHANGED`, with its reason; the new sources then go by the digest of the old ones (decision 0019).
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parent
_EVERYTHING = ("",)
#: Declared changes: [{"reason", "digests": {kind: [digest of the new sources, digest that they go by]}}].
UNCHANGED = _PACKAGE / "unchanged.json"

_MACHINE = ("machine.py", "isa.py", "cores.py")
_PRUNED = (
    *_MACHINE,
    *("blocks.py", "bsr.py", "checkpoint.py", "forward.py", "encoder.py"),
    *("prune/", "corpus/sentences.py", "corpus/sources.py"),
    *(f"study/{name}.py" for name in ("chain", "points", "pruned")),
)
_COMPILER = (
    *_MACHINE,
    *("blocks.py", "bsr.py", "checkpoint.py", "forward.py", "encoder.py"),
    *("compiler/", "runtime.py"),
)
_COMPILED = (*_PRUNED, *_COMPILER, "engines/", "study/compiled.py", "study/tuned.py")
_LISTED = (*_COMPILED, *(f"study/{name}.py" for name in ("listing", "assembly", "loops")))
_TIMED = (*_COMPILED, "measure/", "study/timed.py", "study/memory.py")
#: What decides which inputs are refused, and what a kill or a full disk leaves behind.
_REFUSING = (
    *("errors.py", "folders.py", "schema/", "records.py"),
    *(f"study/{name}.py" for name in ("parameters", "profile_file")),
)

#: Kind of record -> beginnings of the names of its sources. A pruned model that was trained counts as weights from
#: elsewhere to all but its `accuracy`: what made them is not looked at again.
RESTS_ON: Mapping[str, tuple[str, ...]] = {
    "machine": _MACHINE,
    "pattern": _PRUNED,
    "accuracy": (*_PRUNED, "corpus/", "train/", "study/trained.py"),
    "compile": _COMPILED,
    "task": _COMPILED,
    "tuning": _COMPILED,
    "latency": _TIMED,
    "protocol": (*_TIMED, "study/protocol.py"),
    "profile": (*_TIMED, "study/profiled.py"),
    "search": (*_COMPILED, "study/search.py"),
    "identity": (*_COMPILED, "study/identity.py"),
    "kernel": (*_COMPILED, *(f"study/{name}.py" for name in ("ceilings", "kernels", "problems", "screening"))),
    "listing": _LISTED,
    "variant": (*_COMPILED, *(f"study/{name}.py" for name in ("patterns", "pattern_trial", "problems"))),
    "vectors": (*_TIMED, "study/aside.py", "study/vectors.py"),
    "layouts": (*_TIMED, "study/aside.py", "study/layouts.py"),
    "ceiling": (*_COMPILER, "study/chain.py", "study/ceilings.py"),
    "soak": (*_TIMED, *_REFUSING, "study/soak/", "study/determinism.py"),
}

#: What the sources above import and no record depends on: it checks, stores, finds or presents.
DECIDES_NOTHING = (
    *("errors.py", "folders.py", "schema/", "records.py", "sources.py", "study/__init__.py"),
    *(f"study/{name}.py" for name in ("evidence", "parameters", "places", "ways", "words")),
)


@functools.cache
def code_digest(kind: str) -> str:
    """Digest that the sources of ``kind`` go by: 12 hex digits, the same in every clone; see `UNCHANGED`."""
    return stands_for(kind, digest(_PACKAGE, RESTS_ON.get(kind, _EVERYTHING)), declared())


def declared() -> list[dict[str, Any]]:
    """Return the declared changes, oldest first."""
    changes: list[dict[str, Any]] = json.loads(UNCHANGED.read_text(encoding="utf-8"))
    return changes


def stands_for(kind: str, found: str, changes: Sequence[Mapping[str, Any]]) -> str:
    """Return the digest that sources with the digest ``found`` go by: their own, unless a change was declared."""
    for change in changes:
        new, old = change["digests"].get(kind, (None, None))
        if found == new:
            return str(old)
    return found


def declare(reason: str, committed: Mapping[str, str]) -> None:
    """Declare that the sources as they are decide what those with the digests ``committed`` (by kind) decided.

    The entry for this reason is replaced, so that a change in several steps is one entry.
    """
    found = {kind: digest(_PACKAGE, RESTS_ON.get(kind, _EVERYTHING)) for kind in committed}
    digests = {kind: [found[kind], old] for kind, old in committed.items() if found[kind] != old}
    others = [change for change in declared() if change["reason"] != reason]
    lines = json.dumps([*others, {"reason": reason, "digests": digests}], indent=2)
    UNCHANGED.write_text(lines + "\n", encoding="utf-8")


def digest(package: Path, beginnings: tuple[str, ...]) -> str:
    """Digest of the sources of a package whose names begin with any of these."""
    whole = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if name.startswith(beginnings):
            whole.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.hexdigest()[:12]
