"""What a round of a campaign found, and which rounds are still to be done."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from codesign.progress import say
from codesign.study.chain import Study


@dataclass
class Tally:
    """Counts of one subject under one fault, in one round.

    ``refused`` of the ``count`` tries were refused, or caught, with the error that is meant for them. What was finished
    before and is not there, or not whole, is ``lost``; a result that differs from its oracle is ``wrong``. Whatever
    else should not be is a defect, in words. ``settings`` counts which signal, which stage.
    """

    subject: str
    fault: str
    count: int = 0
    refused: int = 0
    lost: int = 0
    wrong: int = 0
    defects: list[str] = field(default_factory=list)
    settings: Counter[str] = field(default_factory=Counter)

    def lose(self, *found: str) -> None:
        """Count what was lost, each in words."""
        self.lost += len(found)
        self.defects += found


def run_rounds(study: Study, campaign: str, rounds: int, one: Callable[[int], list[Tally]]) -> None:
    """Do the rounds of a campaign that no record says were done, each with its number for a seed: a record for each."""
    done = {record["seed"] for record in study.found("soak", {"campaign": campaign})}
    for seed in study.left(range(rounds), f"{campaign}: round", done.__contains__):
        start = time.monotonic()
        tallies = one(seed)
        for tally in tallies:
            say(f"  {tally.subject}, {tally.fault}: {tally.count}, of which {tally.refused} refused or caught")
            for defect in tally.defects:
                say(f"  DEFECT {tally.subject}: {defect}")
        found = {"seconds": round(time.monotonic() - start, 3), "tallies": [vars(tally) for tally in tallies]}
        study.append("soak", {"campaign": campaign, "seed": seed}, found)
