"""Kernels by themselves: every valid schedule of every family measured, for each block shape, matrix and load.

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
from typing import Any, NamedTuple

import transformers

from codesign import machine
from codesign.blocks import DENSE, BlockShape
from codesign.compiler import target_spec
from codesign.compiler.bench import Bench, Candidate, Timing
from codesign.compiler.formats import FORMATS, FP32
from codesign.compiler.layout import layout_for
from codesign.compiler.operators import Linear
from codesign.compiler.schedules import Decisions, families_for, find_family
from codesign.compiler.target import TargetSpec
from codesign.encoder import LINEARS, RANDOM_MODELS, directory_of
from codesign.isa import NATIVE
from codesign.progress import say, track
from codesign.prune.allocation import kept_blocks
from codesign.records import Record, new_run_id
from codesign.study.chain import Study
from codesign.study.parameters import check


class Effort(NamedTuple):
    """How long a profile looks; of every sample its least duration, and hot and cold ones each."""

    samples: int
    """Of a point when all are screened."""
    sample_s: float
    rounds: int
    """Of a finalist, one sample each."""
    round_s: float
    finalists: int
    """Of each family: the best so many hot, and the best so many cold."""


EFFORTS = {
    "quick": Effort(1, 0.5e-3, 4, 1e-3, 1),
    "default": Effort(3, 2e-3, 12, 4e-3, 2),
    "full": Effort(5, 4e-3, 32, 6e-3, 3),
}


@dataclass(frozen=True, order=True)
class Problem:
    """A matrix of a block shape under a load on a target; the fields that find its records.

    A dense matrix has block ``"dense"`` and sparsity 0.
    """

    outputs: int
    inputs: int
    tokens: int
    isa: str
    threads: int
    seed: int
    block: str
    sparsity: float
    format: str = FP32.name

    def __str__(self) -> str:
        return f"{self.matrix}, {self.block}"

    @property
    def matrix(self) -> str:
        """What the problems that are timed in turns have in common."""
        return f"{self.outputs}x{self.inputs}, {self.tokens} tokens, {self.format}"

    @property
    def spec(self) -> TargetSpec:
        """What its kernels are compiled for."""
        return target_spec(self.threads, self.isa)

    def operators(self) -> list[Linear]:
        """The linear layer: one sequence of tokens, laid out as in an encoder; blocks kept as pruning would.

        Stored as in an encoder first, in strips where blocks are tall; then, where that differs, in whole blocks.
        """
        number = FORMATS[self.format]
        layouts = [layout_for(1, self.tokens, self.spec, strips=strips, number=number) for strips in (True, False)]
        size = self.outputs, self.inputs
        if self.block == DENSE:
            block = BlockShape(layouts[0].panel_rows, self.inputs)
            nnz = block.grid(size)[0]
        else:
            block = BlockShape.parse(self.block)
            rows, columns = block.grid(size)
            nnz = kept_blocks(rows * columns, self.sparsity)
        return list(dict.fromkeys(layout.linear(size, block, nnz, "bias") for layout in layouts))

    def candidate(self, family: str, decisions: Decisions) -> Candidate:
        """Return a point of a family, over the first storage of `operators` that the family reads."""
        known = find_family(family)
        operator = next(each for each in self.operators() if known.points(each, self.spec))
        return Candidate(operator, family, decisions)

    def candidates(self) -> list[Candidate]:
        """Every valid point of every family, each over the first storage of `operators` that it reads."""
        stored, found = self.operators(), []
        for family in families_for(stored[0]):
            spaces = [(operator, family.points(operator, self.spec)) for operator in stored]
            operator, points = next((space for space in spaces if space[1]), spaces[0])
            found += [Candidate(operator, family.name, point) for point in points]
        return found


def problems(
    model: str,
    linears: Sequence[str],
    seed: int,
    blocks: Sequence[str],
    sparsity: float,
    tokens: Sequence[int],
    threads: int,
    format: str = FP32.name,
) -> list[Problem]:
    """List problems: linears of a model, as in `codesign.encoder.LINEARS`, by loads, each dense and in each shape.

    Raises
    ------
    InputError
        If a value breaks its parameter's rule.
    """
    check("linears", list(linears))
    check("blocks", list(blocks))
    check("sparsity", sparsity)
    random = RANDOM_MODELS.get(model)
    config = random() if random else transformers.AutoConfig.from_pretrained(directory_of(model))
    hidden, wide = int(config.hidden_size), int(config.intermediate_size)
    sizes = dict(zip(LINEARS, ((hidden, hidden), (wide, hidden), (hidden, wide)), strict=True))
    shapes = [(DENSE, 0.0), *((block, float(sparsity)) for block in blocks)]
    return [
        Problem(*sizes[linear], count, NATIVE, threads, seed, block, share, format)
        for linear, count in itertools.product(linears, tokens)
        for block, share in shapes
    ]


def ensure_kernels(study: Study, wanted: Sequence[Problem]) -> list[Record]:
    """Measure every problem that still needs it; return the `kernel` records of all, screened and timed.

    An interrupted run goes on at the problem where it stopped; the rounds of one matrix start again.

    Parameters
    ----------
    wanted
        From one call of `problems`.

    Raises
    ------
    InputError
        If this machine has fewer cores than threads.
    MissingRecord
        Reading committed results, if they lack a problem.
    """
    matrices: dict[str, list[Problem]] = {}
    for problem in wanted:
        matrices.setdefault(problem.matrix, []).append(problem)
    if study.local and (todo := [name for name, group in matrices.items() if not _timed_together(study, group)]):
        effort = EFFORTS[study.protocol]
        with machine.exclusive("timing kernels"), Bench(wanted[0].spec, wanted[0].seed) as bench:
            for name in track(todo, "kernels"):
                for problem in track(matrices[name], "screening"):
                    _screen(study, bench, problem, effort)
                say("timing the best of them")
                _time(study, bench, matrices[name], effort)
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


def _timed_together(study: Study, group: Sequence[Problem]) -> bool:
    """Whether one session has timed every problem of a group."""
    timed = (study.found("kernel", asdict(problem) | {"stage": "timed"}) for problem in group)
    return bool(set.intersection(*({record["session_id"] for record in records} for records in timed)))


def _screened(study: Study, problem: Problem) -> list[Record]:
    return study.found("kernel", asdict(problem) | {"stage": "screened"})


def _screen(study: Study, bench: Bench, problem: Problem, effort: Effort) -> None:
    known = {point_key(record) for record in _screened(study, problem)}
    points = [each for each in problem.candidates() if point_key(asdict(each)) not in known]
    for point, library in zip(points, bench.build(points), strict=True):
        timing = bench.time(library, effort.samples, effort.sample_s) if isinstance(library, Path) else library
        about = {"stage": "screened", "session_id": study.run_id, "peak_gflops": []}
        _append(study, problem, point, timing if isinstance(timing, str) else [timing], about)


def _time(study: Study, bench: Bench, group: Sequence[Problem], effort: Effort) -> None:
    """Time the finalists of all block shapes of a matrix in rounds; what fails once is out."""
    chosen: list[tuple[Problem, Candidate]] = []
    for problem in group:
        best = finalists(_screened(study, problem), effort.finalists)
        chosen += [(problem, problem.candidate(each["family"], each["decisions"])) for each in best]
    libraries = bench.build([point for _, point in chosen])
    found: list[list[tuple[Timing, float]]] = [[] for _ in chosen]
    for _ in range(effort.rounds):
        block = ""
        for index, (problem, _point) in enumerate(chosen):
            if problem.block != block:
                block, peak = problem.block, bench.peak(problem.format)
            library = libraries[index]
            timing = bench.time(library, 1, effort.round_s) if isinstance(library, Path) else library
            if isinstance(timing, str) or isinstance(peak, str):
                libraries[index] = timing if isinstance(timing, str) else str(peak)
            else:
                found[index].append((timing, peak))
    session = new_run_id()
    for (problem, point), library, rounds in zip(chosen, libraries, found, strict=True):
        failed = isinstance(library, str)
        about = {"stage": "timed", "session_id": session, "peak_gflops": [] if failed else [peak for _, peak in rounds]}
        _append(study, problem, point, library if isinstance(library, str) else [each for each, _ in rounds], about)


def _append(
    study: Study, problem: Problem, point: Candidate, timings: Sequence[Timing] | str, about: dict[str, Any]
) -> None:
    """Record the joined samples of a point, or the reason why it has none."""
    if isinstance(timings, str):
        measured: dict[str, Any] = {"status": "failed", "reason": timings, "hot_ns": [], "cold_ns": []}
        measured |= {"rotated_bytes": 0, "balance": 0.0, "max_abs_err": None}
    else:
        measured = asdict(timings[0]) | {"status": "ok", "reason": None}
        measured |= {name: [ns for each in timings for ns in getattr(each, name)] for name in ("hot_ns", "cold_ns")}
        measured["max_abs_err"] = max(each.max_abs_err for each in timings)
    named = ("rows", "cols", "strip", "nnz", "epilogue", "flops", "slab", "token_shares")
    what = {name: getattr(point.operator, name) for name in named}
    target = {"target": problem.spec.key, "lanes": problem.spec.lanes}
    how = {"family": point.family, "decisions": point.decisions}
    study.append("kernel", asdict(problem), what, target, how, about, measured)
