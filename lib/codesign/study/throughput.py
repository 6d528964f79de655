"""Step 6, under another load: every core has a process of its own, and requests never end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from codesign.measure.throughput import run_throughput
from codesign.records import Record
from codesign.study.artefacts import ensure_built
from codesign.study.chain import Study
from codesign.study.points import Point
from codesign.study.pruned import ensure_pruned
from codesign.study.sessions import compiled, contender, how, sessions
from codesign.study.tuning import ensure_tuned


def ensure_throughput(
    study: Study,
    centre: Point,
    blocks: Sequence[str],
    engines: Sequence[str],
    process_counts: Sequence[int],
    trials_per_task: int,
) -> list[Record]:
    """Run every engine in so many processes of one thread at once; return the `throughput` records.

    Parameters
    ----------
    centre
        Whose model, sparsity and load; a process has one thread, whatever it has.
    blocks, engines
        As in `codesign.study.sessions.sessions`.
    process_counts
        A session for each.
    trials_per_task
        Most trials of a task, recorded ones included.

    Raises
    ------
    InputError
        If this machine has fewer cores than processes.
    MissingRecord
        Reading committed results, if they lack a session.
    """
    points = [replace(centre, block=block, threads=1) for block in blocks]
    (cases,) = sessions(points, engines=engines, peer_blocks=blocks)
    records = []
    for processes in process_counts:
        wanted = [{**case.fields(), "processes": processes} for case in cases]
        if study.local and not all(study.found("throughput", fields) for fields in wanted):
            built = compiled([cases])
            ensure_pruned(study, points)
            ensure_tuned(study, [case for case in built if case.tuned], trials_per_task)
            ensure_built(study, built)
            run_throughput([contender(study, case) for case in cases], processes, **how(study))
        records += [study.newest("throughput", fields) for fields in wanted]
    return records
