"""Doing harm on purpose: kills, full disks, hostile patterns, broken schedules and inputs of chance.

``make soak`` runs every campaign, ``python -m tests.soak CAMPAIGN`` one. A campaign is divided into rounds, each with a
seed of its own; a finished round is one `soak` record, and one that was interrupted is done again. What is expected is
nothing lost and no wrong number; whatever else is found stands in the record by name.
"""

from __future__ import annotations

import argparse
import signal
import sys

from tests.soak import broken, disk, inputs, kills, patterns
from tests.soak.tally import run_rounds

from codesign.study.chain import open_study

#: How many rounds make a result, in this order: what is forked must not inherit the threads that running kernels in
#: this process starts.
ROUNDS = {kills: 8, disk: len(disk.SHARES), inputs: 10, patterns: 16, broken: 3}

if __name__ == "__main__":
    campaigns = {module.__name__.rpartition(".")[2]: module for module in ROUNDS}
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("campaigns", nargs="*", metavar="CAMPAIGN", help=f"{', '.join(campaigns)} (default: all)")
    asked = parser.parse_args().campaigns
    if unknown := set(asked) - set(campaigns):
        parser.error(f"no campaign {', '.join(unknown)}: expected {', '.join(campaigns)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the step under way is ended, too
    study = open_study("local", "quick")
    for name in [each for each in campaigns if each in asked or not asked]:
        run_rounds(study, name, ROUNDS[campaigns[name]], campaigns[name].one_round)
