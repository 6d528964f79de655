"""A second look at the best trials of a task, in turns.

A trial lasts some hundredths of a second, and happens once. On a machine that others use too, some of them are slow by
the doing of a neighbour, and the fastest may only be the luckiest. So the best few are built again and timed in passes,
each in an order of its own: a slow moment then hits all of them a little, and none alone. What a pass found is a sample
of a new record with the same trace, and only these records are chosen from (`codesign.compiler.database.trials`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codesign.compiler.database import TRIAL_SAMPLES, looked_at, seconds_of, trials
from codesign.compiler.target import TargetSpec
from codesign.compiler.tasks import Task
from codesign.compiler.trial import build_candidate, discard, run_candidate, shapes_of
from codesign.compiler.tvm_compat import ms

#: How many trials of a task are looked at again.
FINALISTS = 4
#: Times that each is timed: more than a trial has samples, which is how such a record is known.
PASSES = TRIAL_SAMPLES + 2


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


def look_again(task: Task, opened: ms.Database, spec: TargetSpec, directory: Path, builders: Any, runner: Any) -> int:
    """Time the best trials of a task, which has some, again and record what that found; return how many there were.

    A trial that fails now, for whatever reason, is no candidate any more: it gets no new record. ``directory`` is for
    what is built; ``builders`` and ``runner`` are the pools of worker processes of a tuning run.
    """
    best = sorted(_valid(opened, task), key=lambda record: seconds_of(record) or 0.0)[:FINALISTS]
    modules = [record.as_measure_candidate().sch.mod for record in best]
    building = [builders.submit(build_candidate, module, spec, str(directory)) for module in modules]
    libraries = [_outcome(future) for future in building]
    arguments = shapes_of(best[0].args_info)
    samples: list[list[float]] = [[] for _ in best]
    rng = np.random.default_rng(0)
    for _ in range(PASSES):
        for at in rng.permutation(len(best)):
            if libraries[at] is not None:
                seconds = _outcome(runner.submit(run_candidate, libraries[at], arguments))
                samples[at].extend([] if seconds is None else [float(np.median(seconds))])
    for library in filter(None, libraries):
        discard(library, str(directory))
    # the fastest first: if a kill comes between two of them, the best is there
    timed = [at for at, found in enumerate(samples) if len(found) == PASSES]
    for at in sorted(timed, key=lambda at: float(np.median(samples[at]))):
        record = best[at]
        again = ms.database.TuningRecord(record.trace, record.workload, samples[at], record.target, record.args_info)
        opened.commit_tuning_record(again)
    return len(best)


def _outcome(future: Any) -> Any:
    """Result of a worker, or None: a candidate may crash it, hang, or compute something else under another schedule."""
    try:
        return future.result()
    except Exception:  # whatever a candidate does to its worker rules it out
        return None
