"""What a round of a campaign found, and which rounds are still to be done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from codesign.study.chain import Study, duration, say


@dataclass
class Tally:
    """Counts of one subject under one fault, in one round.

    ``refused`` of the ``count`` tries were refused, or caught, with the error that is meant for them. What was finished
    before and is not there, or not whole, is ``lost``; a result that differs from its oracle is ``wrong``. Whatever
    else should not be is a defect, in words.
    """

    subject: str
    fault: str
    count: int = 0
    refused: int = 0
    lost: int = 0
    wrong: int = 0
    defects: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def add(self, setting: str, count: int = 1) -> None:
        """Count in the settings, too: which signal, which stage."""
        self.settings[setting] = self.settings.get(setting, 0) + count


#: One round: from its seed to what it found.
Round = Callable[[int], list[Tally]]


def run_rounds(study: Study, campaign: str, rounds: int, one: Round) -> None:
    """Do the rounds of a campaign that no record says were done, one record for each.

    Parameters
    ----------
    campaign
        As in the records.
    rounds
        How many; their seeds count from 0.
    one
        Does one.
    """
    done = {record["seed"] for record in study.found("soak", {"campaign": campaign})}
    for seed in _track([seed for seed in range(rounds) if seed not in done], campaign):
        start = time.monotonic()
        tallies = one(seed)
        for tally in tallies:
            say(f"  {tally.subject}, {tally.fault}: {tally.count}, of which {tally.refused} refused or caught")
            for defect in tally.defects:
                say(f"  DEFECT {tally.subject}: {defect}")
        seconds = round(time.monotonic() - start, 3)
        found = [asdict(tally) for tally in tallies]
        study.append("soak", {"campaign": campaign, "seed": seed, "seconds": seconds, "tallies": found})


def _track(seeds: list[int], campaign: str) -> Iterator[int]:
    start = time.monotonic()
    for done, seed in enumerate(seeds):
        left = (time.monotonic() - start) / done * (len(seeds) - done) if done else None
        say(f"{campaign}: round {seed}, {len(seeds) - done} to go" + (f", about {duration(left)} left" if left else ""))
        yield seed
