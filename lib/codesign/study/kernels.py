"""Kernels by themselves: every valid schedule of every family measured, for each block shape, matrix and target.

The space of a problem is small, so it is searched whole. Its fastest point, as measured, is partly the luckiest one
(the winner's curse), so three separate measurements take part:

1. every point is *screened*: a few short samples, hot and cold;
2. the best few of each family are *timed* again, in rounds that go through all block shapes of the matrix, so that a
   slow moment of the machine hits all of them, each beside the peak of the processor at that moment; the even rounds
   choose the winner,
3. and only the odd rounds, which had no part in any choice, say how fast it is (`codesign.study.kernel_views`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codesign import machine
from codesign.compiler import target_spec
from codesign.compiler.kernel_trial import Bench, Candidate, Timing
from codesign.records import Record, new_run_id
from codesign.study.ceilings import ceilings_of, ensure_ceilings
from codesign.study.chain import Study, duration, say, track
from codesign.study.problems import Problem
from codesign.study.screening import finalists, point_key


@dataclass(frozen=True)
class Effort:
    """How long a profile looks.

    Parameters
    ----------
    samples, seconds
        Of each point when all are screened: hot and cold samples each, and the least duration of one.
    rounds, round_s
        Of each finalist: rounds, one sample each, hot and cold, and the least duration of one.
    finalists
        Of each family: the best so many hot, and the best so many cold.
    """

    samples: int
    seconds: float
    rounds: int
    round_s: float
    finalists: int


EFFORTS = {
    "smoke": Effort(1, 0.5e-3, 4, 1e-3, 1),
    "verify": Effort(3, 2e-3, 12, 4e-3, 2),
    "report": Effort(3, 2e-3, 12, 4e-3, 2),
    "paper": Effort(5, 4e-3, 32, 6e-3, 3),
}
#: For the estimate that is printed first: to build one, two at a time; a pass over cold weights; workers to start.
_BUILD_S, _PASS_S, _START_S = 0.15, 0.012, 8.0


def ensure_kernels(study: Study, wanted: Sequence[Problem]) -> list[Record]:
    """Measure every problem that still needs it; return the `kernel` records of all.

    An interrupted run goes on at the problem where it stopped; the rounds of one matrix start again.

    Raises
    ------
    InputError
        If this machine has fewer cores than threads, or lacks an instruction set.
    MissingRecord
        Reading committed results, if they lack a problem.
    """
    if study.local:
        _measure(study, wanted)
    return [record for problem in wanted for record in kernels_of(study, problem)]


def kernels_of(study: Study, problem: Problem) -> list[Record]:
    """Return the records of a problem, screened and timed.

    Raises
    ------
    MissingRecord
        If nothing of it was timed.
    """
    study.newest("kernel", asdict(problem) | {"stage": "timed"})
    return study.found("kernel", asdict(problem))


def limits_of(study: Study, records: Sequence[Record]) -> tuple[list[Record], Record]:
    """Return the ceilings and the description of the machine that kernel records come from.

    On this machine the ceilings are measured first where that was not done.

    Raises
    ------
    MissingRecord
        Reading committed results, if they lack either.
    """
    machine_id = records[0]["machine_id"]
    ceilings = ensure_ceilings(study) if study.local else ceilings_of(study.results, machine_id)
    if not ceilings:
        study.results.one("ceiling", machine_id=machine_id)  # which says what makes them
    return ceilings, study.results.one("machine", machine_id=machine_id)


def estimate(wanted: Iterable[Problem], effort: Effort) -> tuple[int, float]:
    """Return the number of points, and about how many seconds they take on two cores."""
    points = finals = 0
    for problem in wanted:
        listed = problem.candidates()
        points += len(listed)
        finals += 2 * effort.finalists * len({each.family for each in listed})
    screen = _BUILD_S + effort.samples * (1.5 * effort.seconds + max(effort.seconds, _PASS_S))
    final = _BUILD_S + effort.rounds * (1.5 * effort.round_s + max(effort.round_s, _PASS_S))
    return points, _START_S + points * screen + finals * final


@dataclass(frozen=True)
class _Step:
    """One problem to screen, or (``finals``) the problems of one matrix to time together."""

    problems: tuple[Problem, ...]
    finals: bool

    def __str__(self) -> str:
        return f"{self.problems[0]}" if not self.finals else f"the best of {len(self.problems)} shapes in turns"


def _measure(study: Study, wanted: Sequence[Problem]) -> None:
    effort = EFFORTS[study.protocol]
    steps: dict[tuple[int, str, int], list[_Step]] = {}
    for group in _groups(wanted):
        first = group[0]
        todo = [_Step((problem,), finals=False) for problem in group if _unscreened(study, problem)]
        if todo or not _timed_together(study, group):
            todo.append(_Step(group, finals=True))
        steps.setdefault((first.threads, first.isa, first.seed), []).extend(todo)
    left = [step for target in steps.values() for step in target]
    if not left:
        return
    points, seconds = estimate((p for step in left if step.finals for p in step.problems), effort)
    say(f"at most {points} kernels: about {duration(seconds)}")
    with machine.exclusive("timing kernels"):
        for (threads, isa, seed), todo in steps.items():
            if not todo:
                continue
            with Bench(target_spec(threads, isa), seed) as bench:
                for step in track(todo, f"kernels for {isa}"):
                    if step.finals:
                        _time(study, bench, step.problems, effort)
                    else:
                        _screen(study, bench, step.problems[0], effort)


def _groups(wanted: Iterable[Problem]) -> list[tuple[Problem, ...]]:
    """Problems that differ in the block shape only: they are timed in turns."""
    groups: dict[tuple[object, ...], list[Problem]] = {}
    for p in dict.fromkeys(wanted):
        groups.setdefault((p.outputs, p.inputs, p.tokens, p.isa, p.threads, p.seed), []).append(p)
    return [tuple(group) for group in groups.values()]


def _unscreened(study: Study, problem: Problem) -> list[Candidate]:
    known = {point_key(record) for record in study.found("kernel", asdict(problem) | {"stage": "screened"})}
    listed = problem.candidates()
    return [each for each in listed if point_key(asdict(each)) not in known]


def _timed_together(study: Study, group: Sequence[Problem]) -> bool:
    """Whether one session has timed every problem of a group."""
    sessions = [
        {record["session_id"] for record in study.found("kernel", asdict(problem) | {"stage": "timed"})}
        for problem in group
    ]
    return bool(set.intersection(*sessions))


def _screen(study: Study, bench: Bench, problem: Problem, effort: Effort) -> None:
    points = _unscreened(study, problem)
    for point, library in zip(points, bench.build(points), strict=True):
        timing = bench.time(library, effort.samples, effort.seconds) if isinstance(library, Path) else library
        _append(study, problem, point, "screened", study.run_id, timing)


def _time(study: Study, bench: Bench, group: Sequence[Problem], effort: Effort) -> None:
    """Time the finalists of all block shapes of a matrix in rounds; what fails once is out."""
    chosen: list[tuple[Problem, Candidate]] = []
    for problem in group:
        screened = study.found("kernel", asdict(problem) | {"stage": "screened"})
        best = finalists(screened, effort.finalists)
        chosen += [(problem, problem.candidate(each["family"], each["decisions"])) for each in best]
    libraries = bench.build([point for _, point in chosen])
    found: list[list[tuple[Timing, float]]] = [[] for _ in chosen]
    for _ in range(effort.rounds):
        block = ""
        for index, (problem, _point) in enumerate(chosen):
            if problem.block != block:
                block, peak = problem.block, bench.peak()
            library = libraries[index]
            timing = bench.time(library, 1, effort.round_s) if isinstance(library, Path) else library
            if isinstance(timing, str) or isinstance(peak, str):
                libraries[index] = timing if isinstance(timing, str) else str(peak)
            else:
                found[index].append((timing, peak))
    session = new_run_id()
    for (problem, point), library, rounds in zip(chosen, libraries, found, strict=True):
        peaks = [] if isinstance(library, str) else [peak for _, peak in rounds]
        timing = library if isinstance(library, str) else _joined([each for each, _ in rounds])
        _append(study, problem, point, "timed", session, timing, peaks)


def _joined(timings: Sequence[Timing]) -> Timing:
    first = timings[0]
    hot, cold = ([ns for timing in timings for ns in getattr(timing, name)] for name in ("hot_ns", "cold_ns"))
    return Timing(hot, cold, max(t.max_abs_err for t in timings), first.rotated_bytes, first.balance)


def _append(
    study: Study,
    problem: Problem,
    point: Candidate,
    stage: str,
    session: str,
    timing: Timing | str,
    peaks: Sequence[float] = (),
) -> None:
    operator, spec = point.operator, problem.spec
    failed: dict[str, Any] = {"hot_ns": [], "cold_ns": [], "rotated_bytes": 0, "balance": 0.0, "max_abs_err": None}
    measured = failed if isinstance(timing, str) else asdict(timing)
    outcome = {"status": "failed", "reason": timing} if isinstance(timing, str) else {"status": "ok", "reason": None}
    named = ("rows", "cols", "strip", "nnz", "epilogue", "flops", "slab", "token_shares")
    what = {name: getattr(operator, name) for name in named}
    target = {"format": "fp32", "target": spec.key, "lanes": spec.lanes}
    how = {"family": point.family, "decisions": point.decisions, "stage": stage, "session_id": session}
    study.append("kernel", asdict(problem), what, target, how, outcome, measured, {"peak_gflops": list(peaks)})
