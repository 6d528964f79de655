"""How TVM's tuner sees the families: a registered schedule rule that samples, and a search that enumerates.

The rule turns each applicable family into a design space whose trace samples every decision and annotates it, so that
traces are ordinary, replayable and land in the ordinary database. Where a space is finite and small (tens of points,
as ours are, and those of TVM's elementwise functions), the honest search is to measure all of it, the default first and
the rest shuffled; elsewhere TVM's evolutionary search runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from codesign.compiler.database import trials
from codesign.compiler.expand import annotate, picked
from codesign.compiler.operators import operator_of
from codesign.compiler.operators.base import RULE
from codesign.compiler.schedules import Space, applicable
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import (
    MeasureCandidate,
    PySearchStrategy,
    Schedule,
    derived_object,
    ms,
    structural_hash,
    tvm,
)

Trace = Any


def register_rule(spec: TargetSpec) -> None:
    """Make the rule known to TVM, which looks it up by target key and by the name on the operator's block."""

    def rule(schedule: Schedule, block: Any) -> list[Schedule]:
        operator = operator_of(schedule.mod["main"])
        if operator is None:
            return [schedule]
        spaces = []
        for index, family in applicable(operator, spec):
            space = family.space(operator, spec)
            if isinstance(space, Space):
                copy = schedule.copy()
                annotate(copy, index, {name: _sample(copy, values) for name, values in space.options.items()})
                spaces.append(copy)
        return spaces

    tvm.register_global_func(f"s_tir.meta_schedule.cpu.{RULE}", rule, override=True)


def _sample(schedule: Schedule, values: tuple[int, ...]) -> Any:
    return schedule.sample_categorical(list(values), [1.0 / len(values)] * len(values))


def space_generator(ours: bool) -> ms.SpaceGenerator:
    """TVM's rules for TVM's functions; for operators only ours, since TVM's would wrap the block in more loops."""
    if not ours:
        return ms.SpaceGenerator.create("post-order-apply")
    return ms.space_generator.PostOrderApply(
        sch_rules=[ms.schedule_rule.ApplyCustomRule()], postprocs=[], mutator_probs={}
    )


def is_finite(spaces: Sequence[Schedule]) -> bool:
    """Whether design spaces hold nothing but categorical decisions, so that they can be enumerated."""
    samples = [i.kind.name for space in spaces for i in space.trace.insts if i.kind.name.startswith("Sample")]
    return all(name == "SampleCategorical" for name in samples)


def _traces(space: Schedule) -> list[Trace]:
    """All combinations of the categorical decisions in a design space."""
    traces = [space.trace]
    for instruction in space.trace.insts:
        if instruction.kind.name == "SampleCategorical":
            count = len(instruction.attrs[0])
            traces = [t.with_decision(instruction, i, True) for t in traces for i in range(count)]
    return traces


def candidates(context: ms.TuneContext, spaces: Sequence[Schedule], spec: TargetSpec) -> list[Schedule]:
    """All valid points of finite design spaces, the default first, each distinct program once."""
    operator = operator_of(context.mod["main"])
    found: dict[int, Schedule] = {}
    for trace in (trace for space in spaces for trace in _traces(space)):
        schedule = Schedule(context.mod)
        trace.apply_to_schedule(schedule, True)
        if operator is not None:
            family, decisions = picked(schedule)
            if not family.valid(operator, spec, decisions):
                continue
        if all(postproc.apply(schedule) for postproc in context.space_generator.postprocs or []):
            found.setdefault(structural_hash(schedule.mod), schedule)
    return list(found.values())


@derived_object
class EnumerateSpace(PySearchStrategy):
    """Measure every point once, up to ``budget`` trials; points already in the database are not repeated."""

    def __init__(self, spec: TargetSpec, budget: int, seed: int) -> None:
        super().__init__()
        self.spec, self.budget, self.seed = spec, budget, seed

    def _initialize_with_tune_context(self, context: Any) -> None:
        self.context = context

    def pre_tuning(
        self,
        max_trials: int,
        num_trials_per_iter: int,
        design_spaces: Any,
        database: Any = None,
        cost_model: Any = None,
    ) -> None:
        self.batch = num_trials_per_iter
        known = _recorded(database, self.context.mod)
        points = candidates(self.context, design_spaces, self.spec)
        pending = [schedule for schedule in points if structural_hash(schedule.mod) not in known]
        rest = pending[1:]
        np.random.default_rng(self.seed).shuffle(rest)
        self.pending = [*pending[:1], *rest][: self.budget]

    def post_tuning(self) -> None:
        self.pending = []

    def generate_measure_candidates(self) -> list[MeasureCandidate] | None:
        batch, self.pending = self.pending[: self.batch], self.pending[self.batch :]
        arguments = ms.arg_info.ArgInfo.from_entry_func
        return [MeasureCandidate(s, arguments(s.mod, remove_preproc=True)) for s in batch] or None

    def notify_runner_results(self, measure_candidates: Any, results: Any) -> None:
        pass

    def clone(self) -> Any:
        return EnumerateSpace(self.spec, self.budget, self.seed)


def _recorded(database: Any, mod: tvm.IRModule) -> set[int]:
    """Hashes of the programs that a database holds for a task."""
    hashes = set()
    for record in trials(database, mod):
        schedule = Schedule(mod)
        record.trace.apply_to_schedule(schedule, False)
        hashes.add(structural_hash(schedule.mod))
    return hashes


@derived_object
class Budgeted(PySearchStrategy):
    """Another strategy that stops after ``budget`` trials: what is left of a task's trials in a resumed run."""

    def __init__(self, budget: int) -> None:
        super().__init__()
        self.budget = budget
        # TVM's population is 512; a search for a handful of trials needs no such crowd, and it costs ten seconds a task
        population = min(512, 16 * budget)
        self.inner = ms.search_strategy.EvolutionarySearch(
            population_size=population, init_min_unmeasured=min(50, population // 2)
        )

    def _initialize_with_tune_context(self, context: Any) -> None:
        self.inner._initialize_with_tune_context(context)

    def pre_tuning(
        self,
        max_trials: int,
        num_trials_per_iter: int,
        design_spaces: Any,
        database: Any = None,
        cost_model: Any = None,
    ) -> None:
        self.left = self.budget
        self.inner.pre_tuning(self.budget, num_trials_per_iter, design_spaces, database, cost_model)

    def post_tuning(self) -> None:
        self.inner.post_tuning()

    def generate_measure_candidates(self) -> Any:
        candidates = self.inner.generate_measure_candidates() if self.left > 0 else None
        if candidates is not None:
            self.left -= len(candidates)
        return candidates

    def notify_runner_results(self, measure_candidates: Any, results: Any) -> None:
        self.inner.notify_runner_results(measure_candidates, results)

    def clone(self) -> Any:
        return Budgeted(self.budget)
