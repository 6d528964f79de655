"""From a scheduled task back to loops: read the decisions that a trace annotated, and let the family emit them."""

from __future__ import annotations

from codesign.compiler.operators import Operator, family_operator_of
from codesign.compiler.operators.base import BLOCK
from codesign.compiler.schedules import Decisions, Family, applicable, families_for
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import Schedule, tirx, tvm
from codesign.errors import InputError

#: Annotations of a scheduled operator: the family's index, and one per decision.
FAMILY, PREFIX = "codesign.family", "codesign.decision."


def annotate(schedule: Schedule, family_index: int, decisions: dict[str, object]) -> None:
    """Record a family and its decisions on the operator's block; values may be sampled variables of the trace."""
    block = schedule.get_sblock(BLOCK)
    schedule.annotate(block, FAMILY, family_index)
    for name, value in decisions.items():
        schedule.annotate(block, PREFIX + name, value)


def chosen(function: tirx.PrimFunc) -> tuple[Family, Decisions] | None:
    """Return the family and decisions annotated on a scheduled operator; None where nothing was chosen."""
    if family_operator_of(function) is None:
        return None
    schedule = Schedule(tvm.IRModule({"main": function}))
    return picked(schedule) if FAMILY in schedule.get(schedule.get_sblock(BLOCK)).annotations else None


def picked(schedule: Schedule) -> tuple[Family, Decisions]:
    """Return the family and decisions of a schedule that `annotate` has been applied to."""
    annotations = schedule.get(schedule.get_sblock(BLOCK)).annotations
    operator = family_operator_of(schedule.mod["main"])
    if operator is None:
        raise TypeError("only our operators carry decisions")
    names = [str(key) for key in annotations if str(key).startswith(PREFIX)]
    family = families_for(operator)[int(annotations[FAMILY])]
    return family, {name.removeprefix(PREFIX): int(annotations[name]) for name in names}


def default(operator: Operator, spec: TargetSpec) -> tuple[Family, Decisions]:
    """Return the first valid point of the first family that can: what runs before anything was tuned.

    Raises
    ------
    InputError
        If no family can compute the operator on this target.
    """
    for _, family in applicable(operator, spec):
        return family, family.points(operator, spec)[0]
    raise InputError("operator", operator, f"a shape that some schedule family takes on {spec.key}")


def expand(module: tvm.IRModule, spec: TargetSpec) -> tvm.IRModule:
    """Replace every operator of ``module`` by its family's loops; operators without decisions get the default."""
    for name, function in list(module.functions_items()):
        operator = family_operator_of(function) if isinstance(function, tirx.PrimFunc) else None
        if operator is None:
            continue
        family, decisions = chosen(function) or default(operator, spec)
        loops = family.generate(operator, spec, decisions)
        module[name] = loops.with_attr("global_symbol", name.name_hint)
    return module
