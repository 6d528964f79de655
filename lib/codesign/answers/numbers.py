"""Numbers that no claim is about: of the book itself, of pruning, of ways to take turns, and of campaigns of harm."""

from __future__ import annotations

import pandas as pd

from codesign.answers.effects import effect
from codesign.answers.frames import Frames, median_ms, missing, newest, where
from codesign.answers.words import ENGINE_LABELS, TIMES, milliseconds
from codesign.errors import one_of
from codesign.schema import KINDS, Record

#: The two engines of a comparison of ways to take turns, in order.
PAIR = ("ours", "other")
#: Campaign -> what its table is about, for people.
CAMPAIGNS = {
    "kills": "step that was killed",
    "disk": "step that met a full disk",
    "patterns": "schedule family",
    "broken": "schedule family, broken on purpose",
    "inputs": "what was read",
}
COUNTED = ["count", "refused", "lost", "wrong", "defects"]


# The book: its operating point, and where the records that a page shows come from.


@effect("text")
def point(frames: Frames, what: str) -> str:
    """Effect: the model, sparsity, batch, tokens or threads of the operating point."""
    value = getattr(frames, what)
    return f"{value:.0%}" if what == "sparsity" else str(value)


@effect("text")
def machine(frames: Frames, what: str) -> str:
    """Effect: a field of the record of this machine."""
    return str(frames.machine[what])


@effect("text")
def version(frames: Frames, library: str) -> str:
    """Effect: the version of a library that made the newest times."""
    return str(newest_time(frames)["versions"][library])


def newest_time(frames: Frames) -> Record:
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
    machine, record = frames.machine, newest_time(frames)
    return {
        "machine": f"{machine['cpu']}, {machine['cores']} cores",
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


# How far each way of taking turns is from the truth.


def distortions(timed: pd.DataFrame) -> pd.DataFrame:
    """Return the `protocol` rows of one comparison, engine by engine, with ``label``, ``ms`` and ``of_alone``.

    That is the median in units of the same engine's time ``alone``, which is the truth.
    """
    rows = timed.assign(
        place=timed.groupby("way").cumcount(),
        label=timed["engine"].map(ENGINE_LABELS.__getitem__),
        ms=[median_ms(record).value for record in timed["record"]],
    )
    alone = where(rows, way="alone").set_index("place")["ms"]
    return rows.assign(of_alone=rows["ms"] / rows["place"].map(alone)).sort_values("place", kind="stable")


@effect("text")
def protocol(frames: Frames, way: str, whose: str) -> str:
    """Effect: the median time alone of ``ours`` or the ``other`` engine, or how many times that in another way."""
    row = where(_newest_comparison(frames), way=way, place=PAIR.index(whose)).iloc[0]
    return milliseconds(row["ms"]) if way == "alone" else f"{row['of_alone']:.2f}{TIMES}"


@effect("text")
def protocol_rival(frames: Frames) -> str:
    """Effect: the engine that ours was timed beside."""
    return str(_newest_comparison(frames)["label"].iloc[-1])


def _newest_comparison(frames: Frames) -> pd.DataFrame:
    if not len(timed := frames.all("protocol")):
        raise missing("protocol")
    return distortions(where(timed, session_id=timed["session_id"].iloc[-1]))


# What campaigns of harm found.


def added_up(rounds: pd.DataFrame) -> pd.DataFrame:
    """Return `COUNTED` for each subject, over rounds of one or more campaigns; a round that was run again counts once.

    ``defects`` are how many were noted.
    """
    records = newest(rounds, ["campaign", "seed"])["record"]
    tallies = [tally | {"defects": len(tally["defects"])} for record in records for tally in record["tallies"]]
    found = pd.DataFrame(tallies, columns=["subject", *COUNTED]).groupby("subject", sort=False).sum()
    return found[found["count"] > 0]


@effect("count")
def soak(frames: Frames, what: str) -> int:
    """Effect: how many things were ``lost`` or ``wrong``, or how many ``defects`` were noted, over all campaigns."""
    one_of("soak", what, COUNTED)
    if not len(rounds := frames.all("soak")):
        raise missing("soak")
    return int(added_up(rounds)[what].sum())
