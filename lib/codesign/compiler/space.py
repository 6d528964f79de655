"""How TVM's tuner sees the families: a registered schedule rule that samples, and spaces that can be enumerated.

The rule turns each applicable family into a design space whose trace samples every decision and annotates it, so that
traces are ordinary, replayable and land in the ordinary database. A space of categorical decisions is finite: all of
its points can be listed (ours, and those of TVM's elementwise functions).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from codesign.compiler.expand import annotate, picked
from codesign.compiler.operators import family_operator_of
from codesign.compiler.operators.base import RULE
from codesign.compiler.schedules import Space, applicable
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import Schedule, ms, structural_hash, tvm

Trace = Any


def register_rule(spec: TargetSpec) -> None:
    """Make the rule known to TVM, which looks it up by target key and by the name on the operator's block."""

    def rule(schedule: Schedule, block: Any) -> list[Schedule]:
        operator = family_operator_of(schedule.mod["main"])
        if operator is None:
            return [schedule]
        spaces = []
        for index, family in applicable(operator, spec):
            space = family.offers(operator, spec)
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
    """All valid points of finite design spaces, each distinct program once; first the default of a family."""
    operator = family_operator_of(context.mod["main"])
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
