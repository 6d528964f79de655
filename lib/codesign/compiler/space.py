"""Families as TVM's tuner sees them: decisions sampled, annotated on an operator, listed, and expanded to loops.

A registered schedule rule turns each applicable family into a design space whose trace samples every decision and
annotates it, so that traces are ordinary, replayable and land in the ordinary database. A space of categorical
decisions is finite: all of its points can be listed (ours, and those of TVM's elementwise functions).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from codesign.compiler.operators import Operator, family_operator_of
from codesign.compiler.operators.base import BLOCK, RULE
from codesign.compiler.schedules import Decisions, Family, applicable, families_for
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import Schedule, ms, structural_hash, tirx, tvm
from codesign.errors import InputError

#: Annotations of a scheduled operator: the family's index, and one per decision.
FAMILY, PREFIX = "codesign.family", "codesign.decision."


def annotate(schedule: Schedule, family: int, decisions: Mapping[str, object]) -> None:
    """Record a family, by its index, and decisions on the operator's block; values may be variables of the trace."""
    block = schedule.get_sblock(BLOCK)
    schedule.annotate(block, FAMILY, family)
    for name, value in decisions.items():
        schedule.annotate(block, PREFIX + name, value)


def scheduled(operator: Operator, family: str, decisions: Decisions) -> tvm.IRModule:
    """Return a module of an operator on which a point of a family is annotated."""
    schedule = Schedule(tvm.IRModule({"main": operator.unscheduled()}))
    annotate(schedule, [each.name for each in families_for(operator)].index(family), decisions)
    return schedule.mod


def picked(schedule: Schedule) -> tuple[Family, Decisions]:
    """Return the family and decisions of a schedule that `annotate` has been applied to."""
    annotations = schedule.get(schedule.get_sblock(BLOCK)).annotations
    operator = family_operator_of(schedule.mod["main"])
    if operator is None:
        raise TypeError("only our operators carry decisions")
    names = [str(key) for key in annotations if str(key).startswith(PREFIX)]
    family = families_for(operator)[int(annotations[FAMILY])]
    return family, {name.removeprefix(PREFIX): int(annotations[name]) for name in names}


def chosen(operator: Operator, function: tirx.PrimFunc, spec: TargetSpec) -> tuple[Family, Decisions]:
    """Return the family and decisions of an operator: those annotated on its function, or what runs before it is tuned.

    That is the first valid point of the first family that can.

    Raises
    ------
    InputError
        If no family can compute the operator on this target.
    """
    schedule = Schedule(tvm.IRModule({"main": function}))
    if FAMILY in schedule.get(schedule.get_sblock(BLOCK)).annotations:
        return picked(schedule)
    for _, family in applicable(operator, spec):
        return family, family.points(operator, spec)[0]
    raise InputError("operator", operator, f"a shape that some schedule family takes on {spec.key}")


def ours(module: tvm.IRModule) -> list[tuple[tvm.ir.GlobalVar, tirx.PrimFunc, Operator]]:
    """Our operators in a module: name, function, operator."""
    functions = [(name, f) for name, f in module.functions_items() if isinstance(f, tirx.PrimFunc)]
    return [(name, f, operator) for name, f in functions if (operator := family_operator_of(f)) is not None]


def expand(module: tvm.IRModule, spec: TargetSpec) -> tvm.IRModule:
    """Replace every operator of a copy of ``module`` by its family's loops; those without decisions get the default."""
    module = module.clone()
    for name, function, operator in ours(module):
        family, decisions = chosen(operator, function, spec)
        module[name] = family.generate(operator, spec, decisions).with_attr("global_symbol", name.name_hint)
    return module


def register_rule(spec: TargetSpec) -> None:
    """Make the rule known to TVM, which looks it up by target key and by the name on the operator's block."""

    def rule(schedule: Schedule, block: Any) -> list[Schedule]:
        operator = family_operator_of(schedule.mod["main"])
        if operator is None:
            return [schedule]
        spaces = []
        for index, family in applicable(operator, spec):
            space = family.space(operator, spec)
            if not isinstance(space, str):
                copy = schedule.copy()
                annotate(copy, index, {name: _sample(copy, values) for name, values in space.items()})
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


def _traces(space: Schedule) -> list[Any]:
    """All combinations of the categorical decisions in a design space."""
    traces = [space.trace]
    for instruction in space.trace.insts:
        if instruction.kind.name == "SampleCategorical":
            count = len(instruction.attrs[0])
            traces = [t.with_decision(instruction, i, True) for t in traces for i in range(count)]
    return traces
