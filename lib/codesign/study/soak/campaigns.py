"""The campaigns by name, and how many rounds of each make a result."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codesign.errors import InputError
from codesign.study.chain import open_study
from codesign.study.parameters import nearest
from codesign.study.soak import broken, disk, inputs, kills, patterns
from codesign.study.soak.tally import Round, run_rounds


@dataclass(frozen=True)
class Campaign:
    """What one round does, and how many rounds there are."""

    one_round: Round
    rounds: int


#: In this order: what is forked must not inherit the threads that running kernels in this process starts.
CAMPAIGNS: Mapping[str, Campaign] = {
    "kills": Campaign(kills.one_round, 8),
    "disk": Campaign(disk.one_round, len(disk.SHARES)),
    "inputs": Campaign(inputs.one_round, 10),
    "patterns": Campaign(patterns.one_round, 16),
    "broken": Campaign(broken.one_round, 3),
}


def soak(names: Sequence[str]) -> None:
    """Run campaigns, those rounds that were not done yet; none named are all.

    Raises
    ------
    InputError
        If a name is not that of a campaign, before anything is done.
    """
    for name in names:
        if name not in CAMPAIGNS:
            raise InputError("campaign", name, f"one of {', '.join(CAMPAIGNS)}", nearest(name, CAMPAIGNS))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the step under way is ended, too
    study = open_study("local", "smoke")
    for name in CAMPAIGNS if not names else [name for name in CAMPAIGNS if name in names]:
        run_rounds(study, name, CAMPAIGNS[name].rounds, CAMPAIGNS[name].one_round)
