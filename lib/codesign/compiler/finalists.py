"""A second look at the best trials of a task, in turns.

A trial lasts some hundredths of a second, and happens once. On a machine that others use too, some of them are slow by
the doing of a neighbour, and the fastest may only be the luckiest. So the best few are built again and timed in passes,
each in an order of its own: a slow moment then hits all of them a little, and none alone. What a pass found is a sample
of a new record with the same trace, and only these records are chosen from (`codesign.compiler.database.trials`).
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codesign.compiler.database import TRIAL_SAMPLES, looked_at, seconds_of, trials
from codesign.compiler.tasks import Task
from codesign.compiler.trial import built_in, run_candidate
from codesign.compiler.tvm_compat import ms
from codesign.compiler.workers import Workshop, outcome

#: Times that each is timed: more than a trial has samples, which is how such a record is known.
PASSES = TRIAL_SAMPLES + 2


def finalists(trials: int) -> int:
    """Return how many of so many trials are looked at again: a quarter, but two at least and four at most."""
    return min(4, max(2, trials // 4))


def unseen(opened: ms.Database, tasks: Sequence[Task], tried: Sequence[str]) -> list[Task]:
    """Return the tasks whose best trials were not looked at again, and those that were ``tried`` (digests) just now."""
    found = []
    for task in tasks:
        valid = _valid(opened, task)
        if len(valid) > 1 and (task.digest in tried or not looked_at(valid[0])):
            found.append(task)
    return found


def _valid(opened: ms.Database, task: Task) -> list[Any]:
    return [record for record in trials(opened, task.module) if seconds_of(record) is not None]


def look_again(task: Task, opened: ms.Database, shop: Workshop) -> int:
    """Time the best trials of a task, which has some, again and record what that found; return how many there were.

    A trial that fails now, for whatever reason, is no candidate any more: it gets no new record.
    """
    valid = sorted(_valid(opened, task), key=lambda record: seconds_of(record) or 0.0)
    best = valid[: finalists(len(valid))]
    modules = [record.as_measure_candidate().sch.mod for record in best]
    libraries = [library for library, _ in built_in(shop, modules)]
    samples: list[list[float]] = [[] for _ in best]
    rng = np.random.default_rng(0)
    for _ in range(PASSES):
        for at in rng.permutation(len(best)):
            if libraries[at] is not None:
                seconds, _ = outcome(shop.runner.submit(run_candidate, libraries[at]))
                samples[at].extend([] if seconds is None else [float(np.median(seconds))])
    for library in filter(None, libraries):
        shutil.rmtree(Path(library).parent)
    # the fastest first: if a kill comes between two of them, the best is there
    timed = [at for at, found in enumerate(samples) if len(found) == PASSES]
    for at in sorted(timed, key=lambda at: float(np.median(samples[at]))):
        record = best[at]
        again = ms.database.TuningRecord(record.trace, record.workload, samples[at], record.target, record.args_info)
        opened.commit_tuning_record(again)
    return len(best)
