"""Fuzzing: thousands of inputs of chance for every reader, half of them right ones with a little changed."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path

from codesign.study.soak.readers import READERS
from codesign.study.soak.tally import Tally

#: Inputs for each reader in a round.
TRIES = 1000


def one_round(seed: int) -> list[Tally]:
    """Give `TRIES` inputs to each reader; what is not judged right is ``wrong``, and named."""
    tallies = []
    with tempfile.TemporaryDirectory(prefix="codesign-inputs-") as scratch:
        for number, (name, reader) in enumerate(READERS.items()):
            rng = random.Random(1000 * seed + number)
            tally = Tally(name, "inputs of chance")
            for _ in range(TRIES):
                folder = Path(scratch) / "input"
                folder.mkdir()
                tally.count += 1
                try:
                    tally.refused += reader(rng, folder)
                except Exception as error:  # whatever a reader does with its input is what is looked for
                    tally.wrong += 1
                    tally.defects.append(f"{type(error).__name__}: {error}"[:300])
                shutil.rmtree(folder)
            tallies.append(tally)
    return tallies
