"""Step 6: one factor at a time around the centre of the study, each value in a session of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from codesign import machine
from codesign.bsr import MIN_BLOCK_SPARSITY
from codesign.compiler import Lowered
from codesign.errors import InputError
from codesign.isa import NATIVE
from codesign.measure import PROTOCOLS
from codesign.progress import duration, say, track
from codesign.records import Record
from codesign.study.artefacts import artifact, ensure_built, lower
from codesign.study.chain import Study
from codesign.study.points import Case, Point, headline
from codesign.study.pruned import ensure_pruned, files
from codesign.study.sessions import SLOW, Session, compiled, ensure_session, session_records, sessions
from codesign.study.tuning import ensure_tuned

#: For the estimate that is printed before the work, with BERT-base on two cores: to prune and build an encoder; to
#: start an engine and check its output; a trial; the tasks of an encoder that no other has had before; and the trials
#: after which the choices of a task are mostly used up, whatever is allowed.
BUILD_S, PREPARE_S, TRIAL_S, NEW_TASKS, TASK_TRIALS = 10, 8, 0.25, 4, 20


@dataclass(frozen=True)
class Factors:
    """The values of each factor. All else stays as at the centre; the centre's own values need not be among them.

    Parameters
    ----------
    batches, seqs, thread_counts
        Loads.
    sparsities
        Of the centre's model.
    models, model_sparsities
        Other models, each at each of these sparsities.
    """

    batches: Sequence[int] = ()
    seqs: Sequence[int] = ()
    thread_counts: Sequence[int] = ()
    sparsities: Sequence[float] = ()
    models: Sequence[str] = ()
    model_sparsities: Sequence[float] = ()


@dataclass(frozen=True)
class Stop:
    """One value of one factor, and what is timed there."""

    name: str
    cases: Session = field(repr=False)

    def __str__(self) -> str:
        return self.name

    @property
    def load(self) -> str:
        """The batch, sequence and threads that its kernels are compiled for."""
        return self.cases[0].point.load_key()


@dataclass(frozen=True)
class Sweep:
    """What is swept.

    Parameters
    ----------
    centre
        All factors vary around this point; its block shape stands for the others where one must.
    factors
        Their values.
    load_blocks
        Block shapes that are timed under other loads, and the only ones that sparse engines of others run.
    blocks
        Block shapes that are timed at other sparsities and in other models, where the crossover is looked for.
    engines
        Engines beside the references.
    isa
        What the engines that we compile are compiled for.
    """

    centre: Point
    factors: Factors
    load_blocks: Sequence[str]
    blocks: Sequence[str]
    engines: Sequence[str]
    isa: str = NATIVE

    def __post_init__(self) -> None:
        if SLOW in self.engines:
            fast = [engine for engine in self.engines if engine != SLOW]
            raise InputError("engines", list(self.engines), f"none so slow as {SLOW} in a sweep", fast)

    def stops(self) -> list[Stop]:
        """Every session: loads, sparsities, other models, and the centre where curves pass through it.

        The centre comes last. It was timed with the other shapes before, if the study was run in order.
        """
        centre, factors = self.centre, self.factors
        loads = {
            **{f"batch {value}": replace(centre, batch=value) for value in factors.batches},
            **{f"{value} tokens": replace(centre, seq=value) for value in factors.seqs},
            **{f"{value} threads": replace(centre, threads=value) for value in factors.thread_counts},
        }
        curves = {f"{value:.0%} sparse": replace(centre, sparsity=float(value)) for value in factors.sparsities}
        for model, value in product(factors.models, factors.model_sparsities):
            curves[f"{model}, {value:.0%} sparse"] = replace(centre, model=model, sparsity=float(value))
        planned = [Stop(name, self._session(point, self.load_blocks)) for name, point in loads.items()]
        planned += [Stop(name, self._session(point, self.blocks)) for name, point in curves.items()]
        planned = [stop for stop in planned if not _same_but_block(stop.cases[0].point, centre)]
        if loads or factors.sparsities:
            shapes = dict.fromkeys((*self.load_blocks, *self.blocks))
            planned.append(Stop("the centre", self._session(centre, tuple(shapes))))
        return planned

    def _session(self, point: Point, blocks: Sequence[str]) -> Session:
        points = [replace(point, block=block) for block in blocks]
        if point.sparsity < MIN_BLOCK_SPARSITY:
            points = [headline(points)]  # too few zeros: stored whole, whatever the shape
        (session,) = sessions(points, engines=self.engines, peer_blocks=self.load_blocks, isa=self.isa)
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
    if study.local and (todo := [stop for stop in stops if not _finished(study, stop)]):
        machine.cpus(max(stop.cases[0].point.threads for stop in todo))  # refuses more than there are
        cases = sum(len(stop.cases) for stop in todo)
        say(f"{len(todo)} sessions of {cases} encoders: about {duration(estimate(study, todo, trials_per_task))}")
        for load in dict.fromkeys(stop.load for stop in todo):
            _tune(study, sweep, [stop for stop in todo if stop.load == load], trials_per_task)
        for stop in track(todo, "session"):
            ensure_pruned(study, list(dict.fromkeys(case.point for case in stop.cases)))
            ensure_built(study, compiled([stop.cases]))
            ensure_session(study, stop.cases, str(stop))
            _tidy(study, sweep, stop.cases)
    return [record for stop in stops for record in session_records(study, stop.cases)]


def estimate(study: Study, stops: Sequence[Stop], trials_per_task: int) -> float:
    """Estimate the seconds that these sessions take, tuning included; less where tasks are shared or known."""
    protocol = PROTOCOLS[study.protocol]
    timing = protocol.engine_s + 2 * protocol.alone_s * protocol.alone_passes + PREPARE_S
    compiled_here = [case for stop in stops for case in stop.cases if case.compiled]
    timed = sum(len(stop.cases) + 1 for stop in stops)
    tuning = NEW_TASKS * min(trials_per_task, TASK_TRIALS) * TRIAL_S
    return timed * timing + len(compiled_here) * (BUILD_S + tuning)


def _finished(study: Study, stop: Stop) -> bool:
    """Whether everything was timed. Not `session_id`: of a session that was split, no part has every case."""
    return all(study.found("latency", case.fields()) for case in stop.cases)


def _tune(study: Study, sweep: Sweep, stops: Sequence[Stop], trials_per_task: int) -> None:
    """Tune what is not tuned yet, each checkpoint made for as long as it is looked at."""

    def lower_and_tidy(study: Study, case: Case) -> Lowered:
        ensure_pruned(study, [case.point])
        lowered = lower(study, case)
        _tidy(study, sweep, [case])
        return lowered

    cases = [case for case in compiled([stop.cases for stop in stops]) if case.tuned]
    fresh = [case for case in cases if not any(task["trials"] for task in study.found("task", case.fields()))]
    if fresh:
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
