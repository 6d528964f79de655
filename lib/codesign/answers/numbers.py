"""Numbers about the book itself: its operating point, and where the records that a page shows come from."""

from __future__ import annotations

from codesign.answers.effects import effect
from codesign.answers.frames import Frames, missing, where
from codesign.schema import KINDS, Record


@effect("text")
def point(frames: Frames, what: str) -> str:
    """Effect: the model, sparsity, batch, tokens or threads of the operating point."""
    value = getattr(frames, what)
    return f"{value:.0%}" if what == "sparsity" else str(value)


@effect("text")
def machine(frames: Frames, what: str) -> str:
    """Effect: a field of the record of this machine, memory with its unit."""
    value = frames.machine[what]
    if what.endswith("_kib"):
        return f"{value / 1024:.0f} MiB"
    return f"{value:.0f} GiB" if what.endswith("_gib") else str(value)


@effect("text")
def version(frames: Frames, library: str) -> str:
    """Effect: the version of a library that made the newest times."""
    return str(newest(frames)["versions"][library])


def newest(frames: Frames) -> Record:
    """Return the newest time at the operating point, or the record of the machine where there is none."""
    timed = frames.at("latency")
    return timed.iloc[-1]["record"] if len(timed) else frames.machine


def stamp(frames: Frames) -> dict[str, str]:
    """Return the machine, commit, profile and date that the newest times come from, and whether older code made them.

    Raises
    ------
    MissingRecord
        If no machine is recorded.
    """
    if not len(frames.all("machine")):
        raise missing("machine")
    record = newest(frames)
    return {
        "machine": f"{frames.machine['cpu']}, {frames.machine['cores']} cores",
        "commit": short_commit(record["commit"]),
        "profile": record["profile"],
        "date": record["started_at"][:10],
        "code": written_by(record),
    }


def written_by(record: Record) -> str:
    """Say whether what a record measures is what would be measured today."""
    return "this code" if record["measurement"] == KINDS[record["kind"]].measurement_version else "older code"


def short_commit(commit: str) -> str:
    """Shorten a commit to ten digits, keeping ``-dirty``."""
    digits, dash, state = commit.partition("-")
    return digits[:10] + dash + state


@effect("share")
def retained_norm(frames: Frames, scope: str, block: str) -> float:
    """Effect: share of the weights' norm that is left after pruning."""
    found = where(frames.at("pattern"), scope=scope, block=block)
    if not len(found):
        raise missing("pattern", scope=scope, block=block)
    return float(found["retained_l2"].iloc[-1])
