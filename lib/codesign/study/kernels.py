"""Kernels by themselves: every valid schedule of every family measured, for each block shape, matrix and target.

The space of a problem is small, so it is searched whole. Its fastest point, as measured, is partly the luckiest one
(the winner's curse), so three separate measurements take part:

1. every point is *screened*: a few short samples, hot and cold;
2. the best few of each family are *timed* again, in rounds that go through all block shapes of the matrix, so that a
   slow moment of the machine hits all of them, each beside the peak of the processor at that moment; the even rounds
   choose the winner,
3. and only the odd rounds, which had no part in any choice, say how fast it is (`codesign.answers.kernels`).
"""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codesign import machine
from codesign.compiler import target_spec
from codesign.compiler.bench import Bench, Candidate, Timing
from codesign.progress import duration, say, track
from codesign.records import Record, new_run_id
from codesign.study.chain import Study
from codesign.study.problems import Problem


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
    "quick": Effort(1, 0.5e-3, 4, 1e-3, 1),
    "default": Effort(3, 2e-3, 12, 4e-3, 2),
    "full": Effort(5, 4e-3, 32, 6e-3, 3),
}
#: For the estimate that is printed first: to build one, two at a time; a pass over cold weights; workers to start.
_BUILD_S, _PASS_S, _START_S = 0.15, 0.012, 8.0
#: Of a kernel without a time.
_FAILED: dict[str, Any] = {"hot_ns": [], "cold_ns": [], "rotated_bytes": 0, "balance": 0.0, "max_abs_err": None}


class Group(list[Problem]):
    """Problems that differ in the block shape only: they are timed in turns."""

    def __str__(self) -> str:
        return f"{self[0].outputs}x{self[0].inputs}, {self[0].tokens} tokens, {len(self)} shapes"


def ensure_kernels(study: Study, wanted: Sequence[Problem]) -> list[Record]:
    """Measure every problem that still needs it; return the `kernel` records of all, screened and timed.

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
    for problem in wanted:
        study.newest("kernel", asdict(problem) | {"stage": "timed"})
    return [record for problem in wanted for record in study.found("kernel", asdict(problem))]


def point_key(point: Mapping[str, Any]) -> str:
    """Return the family and decisions of a record or a candidate as text, to compare points with."""
    return json.dumps([point["family"], point["decisions"]], sort_keys=True)


def finalists(screened: Iterable[Record], count: int) -> list[Record]:
    """Return the screened records whose points deserve a longer look: of each family the best hot and the best cold."""
    good = [record for record in screened if record["status"] == "ok"]
    found: dict[str, Record] = {}
    for family, state in itertools.product(dict.fromkeys(record["family"] for record in good), ("hot_ns", "cold_ns")):
        mine = [record for record in good if record["family"] == family]
        for record in sorted(mine, key=lambda record: statistics.median(record[state]))[:count]:
            found.setdefault(point_key(record), record)
    return list(found.values())


def _measure(study: Study, wanted: Sequence[Problem]) -> None:
    groups: dict[tuple[object, ...], Group] = {}
    for p in dict.fromkeys(wanted):
        groups.setdefault((p.outputs, p.inputs, p.tokens, p.isa, p.threads, p.seed), Group()).append(p)
    targets: dict[tuple[int, str, int], list[Group]] = {}
    for group in groups.values():
        if not _timed_together(study, group) or any(_unscreened(study, problem) for problem in group):
            targets.setdefault((group[0].threads, group[0].isa, group[0].seed), []).append(group)
    if not targets:
        return
    effort = EFFORTS[study.protocol]
    _say_estimate([problem for todo in targets.values() for group in todo for problem in group], effort)
    with machine.exclusive("timing kernels"):
        for (threads, isa, seed), todo in targets.items():
            with Bench(target_spec(threads, isa), seed) as bench:
                for group in track(todo, f"kernels for {isa}"):
                    for problem in track([p for p in group if _unscreened(study, p)], "screening"):
                        _screen(study, bench, problem, effort)
                    say(f"timing the best of {group}")
                    _time(study, bench, group, effort)


def _say_estimate(todo: Sequence[Problem], effort: Effort) -> None:
    """Say how many points there are, and about how long they take on two cores."""
    candidates = [problem.candidates() for problem in todo]
    points = sum(map(len, candidates))
    finals = sum(2 * effort.finalists * len({each.family for each in listed}) for listed in candidates)
    screen = _BUILD_S + effort.samples * (1.5 * effort.seconds + max(effort.seconds, _PASS_S))
    final = _BUILD_S + effort.rounds * (1.5 * effort.round_s + max(effort.round_s, _PASS_S))
    say(f"at most {points} kernels: about {duration(_START_S + points * screen + finals * final)}")


def _unscreened(study: Study, problem: Problem) -> list[Candidate]:
    known = {point_key(record) for record in study.found("kernel", asdict(problem) | {"stage": "screened"})}
    return [each for each in problem.candidates() if point_key(asdict(each)) not in known]


def _timed_together(study: Study, group: Group) -> bool:
    """Whether one session has timed every problem of a group."""
    timed = (study.found("kernel", asdict(problem) | {"stage": "timed"}) for problem in group)
    return bool(set.intersection(*({record["session_id"] for record in records} for records in timed)))


def _screen(study: Study, bench: Bench, problem: Problem, effort: Effort) -> None:
    points = _unscreened(study, problem)
    for point, library in zip(points, bench.build(points), strict=True):
        timing = bench.time(library, effort.samples, effort.seconds) if isinstance(library, Path) else library
        _append(study, problem, point, timing, {"stage": "screened", "session_id": study.run_id, "peak_gflops": []})


def _time(study: Study, bench: Bench, group: Group, effort: Effort) -> None:
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
        timing = library if isinstance(library, str) else _joined([each for each, _ in rounds])
        peaks = [] if isinstance(library, str) else [peak for _, peak in rounds]
        _append(study, problem, point, timing, {"stage": "timed", "session_id": session, "peak_gflops": peaks})


def _joined(timings: Sequence[Timing]) -> Timing:
    first = timings[0]
    hot, cold = ([ns for timing in timings for ns in getattr(timing, name)] for name in ("hot_ns", "cold_ns"))
    return Timing(hot, cold, max(t.max_abs_err for t in timings), first.rotated_bytes, first.balance)


def _append(study: Study, problem: Problem, point: Candidate, timing: Timing | str, about: dict[str, Any]) -> None:
    failed = {"status": "failed", "reason": timing, **_FAILED}
    measured = failed if isinstance(timing, str) else {"status": "ok", "reason": None, **asdict(timing)}
    named = ("rows", "cols", "strip", "nnz", "epilogue", "flops", "slab", "token_shares")
    what = {name: getattr(point.operator, name) for name in named}
    target = {"format": "fp32", "target": problem.spec.key, "lanes": problem.spec.lanes}
    how = {"family": point.family, "decisions": point.decisions}
    study.append("kernel", asdict(problem), what, target, how, about, measured)
