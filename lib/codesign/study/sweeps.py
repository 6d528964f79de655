"""Step 6: one factor at a time around the centre of the study, each value in a session of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product

from codesign import machine
from codesign.bsr import MIN_BLOCK_SPARSITY
from codesign.compiler import Lowered
from codesign.errors import InputError
from codesign.progress import say, track
from codesign.records import Record
from codesign.study.artefacts import artifact, ensure_built
from codesign.study.chain import Study
from codesign.study.lowered import is_tuned, lower
from codesign.study.points import Case, Point, headline
from codesign.study.pruned import ensure_pruned, files
from codesign.study.sessions import SLOW, Session, compiled, ensure_session, session_records, sessions
from codesign.study.tuning import ensure_tuned


@dataclass(frozen=True)
class Sweep:
    """What is swept: all but one factor stays as at the centre, whose own values need not be among the others.

    Parameters
    ----------
    centre
        All factors vary around this point; its block shape stands for the others where one must.
    load_blocks
        Block shapes that are timed under other loads, and the only ones that sparse engines of others run.
    blocks
        Block shapes that are timed at other sparsities and in other models, where the crossover is looked for.
    engines
        Engines beside the references.
    batches, seqs, thread_counts
        Other loads.
    sparsities
        Of the centre's model.
    models, model_sparsities
        Other models, each at each of these sparsities.
    """

    centre: Point
    load_blocks: Sequence[str]
    blocks: Sequence[str]
    engines: Sequence[str]
    batches: Sequence[int] = ()
    seqs: Sequence[int] = ()
    thread_counts: Sequence[int] = ()
    sparsities: Sequence[float] = ()
    models: Sequence[str] = ()
    model_sparsities: Sequence[float] = ()

    def __post_init__(self) -> None:
        if SLOW in self.engines:
            fast = [engine for engine in self.engines if engine != SLOW]
            raise InputError("engines", list(self.engines), f"none so slow as {SLOW} in a sweep", fast)

    def stops(self) -> dict[str, Session]:
        """Every session by what differs in it: loads, sparsities, other models, the centre where curves pass it.

        The centre comes last. It was timed with the other shapes before, if the study was run in order.
        """
        centre = self.centre
        loads = {
            **{f"batch {value}": replace(centre, batch=value) for value in self.batches},
            **{f"{value} tokens": replace(centre, seq=value) for value in self.seqs},
            **{f"{value} threads": replace(centre, threads=value) for value in self.thread_counts},
        }
        curves = {f"{value:.0%} sparse": replace(centre, sparsity=float(value)) for value in self.sparsities}
        for model, value in product(self.models, self.model_sparsities):
            curves[f"{model}, {value:.0%} sparse"] = replace(centre, model=model, sparsity=float(value))
        planned = {name: self._session(point, self.load_blocks) for name, point in loads.items()}
        planned |= {name: self._session(point, self.blocks) for name, point in curves.items()}
        planned = {name: cases for name, cases in planned.items() if not _same_but_block(cases[0].point, centre)}
        if loads or self.sparsities:
            planned["the centre"] = self._session(centre, list(dict.fromkeys((*self.load_blocks, *self.blocks))))
        return planned

    def _session(self, point: Point, blocks: Sequence[str]) -> Session:
        points = [replace(point, block=block) for block in blocks]
        if point.sparsity < MIN_BLOCK_SPARSITY:
            points = [headline(points)]  # too few zeros: stored whole, whatever the shape
        (session,) = sessions(points, engines=self.engines, peer_blocks=self.load_blocks)
        return session


def ensure_swept(study: Study, sweep: Sweep, trials_per_task: int) -> list[Record]:
    """Do every session of a sweep that is not done yet; return the `latency` records of all.

    The tasks of one load are tuned in one run, so that the scheduler weighs them against each other. The files of a
    finished session are deleted again: with BERT-base an encoder's take 0.2 to 0.4 GB, a whole sweep has about a
    hundred, and no other step reads them. What is left of an interrupted sweep goes on where it stopped.

    Parameters
    ----------
    sweep
        What to measure.
    trials_per_task
        Most trials of a task, recorded ones included.

    Raises
    ------
    InputError
        If this machine has fewer cores than the sweep has threads, or a model takes no such input.
    MissingRecord
        Reading committed results, if they lack a session.
    """
    stops = sweep.stops()
    if study.local and (todo := {name: cases for name, cases in stops.items() if not _finished(study, cases)}):
        machine.cpus(max(cases[0].point.threads for cases in todo.values()))  # refuses more than there are
        say(f"{len(todo)} sessions of {sum(map(len, todo.values()))} encoders")
        loads: dict[str, list[Session]] = {}
        for cases in todo.values():
            loads.setdefault(cases[0].point.load_key(), []).append(cases)
        for together in loads.values():
            _tune(study, sweep, compiled(together), trials_per_task)
        for name in track(list(todo), "session"):
            ensure_pruned(study, list(dict.fromkeys(case.point for case in todo[name])))
            ensure_built(study, compiled([todo[name]]))
            ensure_session(study, todo[name], name)
            _tidy(study, sweep, todo[name])
    return [record for cases in stops.values() for record in session_records(study, cases)]


def _finished(study: Study, cases: Session) -> bool:
    """Whether everything was timed. Not `session_id`: of a session that was split, no part has every case."""
    return all(study.found("latency", case.fields()) for case in cases)


def _tune(study: Study, sweep: Sweep, cases: Sequence[Case], trials_per_task: int) -> None:
    """Tune what is not tuned yet, each checkpoint made for as long as it is looked at."""

    def lower_and_tidy(study: Study, case: Case) -> Lowered:
        ensure_pruned(study, [case.point])
        lowered = lower(study, case)
        _tidy(study, sweep, [case])
        return lowered

    if fresh := [case for case in cases if case.tuned and not is_tuned(study, case)]:
        ensure_tuned(study, fresh, trials_per_task, lower=lower_and_tidy)


def _tidy(study: Study, sweep: Sweep, cases: Iterable[Case]) -> None:
    """Delete what these cases needed, except what belongs to the centre: other steps made it, and read it again."""
    centre = sweep.centre
    for case in cases:
        where = files(study, case.point)
        if not _same_but_block(case.point, centre):
            shutil.rmtree(artifact(study, case), ignore_errors=True)
            shutil.rmtree(where.expected.parent, ignore_errors=True)
        if not _same_but_block(replace(case.point, batch=centre.batch, seq=centre.seq, threads=centre.threads), centre):
            shutil.rmtree(where.checkpoint, ignore_errors=True)


def _same_but_block(point: Point, centre: Point) -> bool:
    return replace(point, block=centre.block) == centre
