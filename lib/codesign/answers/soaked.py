"""What campaigns of harm found, added up."""

from __future__ import annotations

import pandas as pd

from codesign.answers.effects import effect
from codesign.answers.frames import Frames, missing, newest
from codesign.errors import InputError

#: Campaign -> what its table is about, for people.
CAMPAIGNS = {
    "kills": "step that was killed",
    "disk": "step that met a full disk",
    "patterns": "schedule family",
    "broken": "schedule family, broken on purpose",
    "inputs": "what was read",
}
COUNTED = ["count", "refused", "lost", "wrong", "defects"]


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
    if what not in COUNTED:
        raise InputError("soak", what, f"one of {', '.join(COUNTED)}")
    rounds = frames.all("soak")
    if not len(rounds):
        raise missing("soak")
    return int(added_up(rounds)[what].sum())
