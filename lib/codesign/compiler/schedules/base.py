"""The contract of a schedule family, and the registry."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any, ClassVar

import numpy as np

from codesign.compiler.operators import Operator
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import tirx

#: What the search chose: decision name -> value.
Decisions = dict[str, int]
#: What the cost model sees of a point: feature name -> value.
Features = dict[str, float]


#: The decisions of a family for one operator on one target: each with its candidate values, the best guess first. Not
#: every combination need be valid.
Space = dict[str, tuple[int, ...]]


class Family:
    """A way to compute an operator: a decision space, and a generator of loops for each point of it."""

    name: ClassVar[str]
    operators: ClassVar[tuple[type[Operator], ...]]

    def space(self, operator: Any, spec: TargetSpec) -> Space | str:
        """Return the decisions open for ``operator`` on ``spec``, or the reason why this family cannot compute it."""
        raise NotImplementedError

    def valid(self, operator: Any, spec: TargetSpec, decisions: Decisions) -> bool:
        """Whether these decisions fit together (registers, divisibility)."""
        return True

    def generate(self, operator: Any, spec: TargetSpec, decisions: Decisions) -> tirx.PrimFunc:
        """Emit the scheduled function: same signature, same result as ``operator.unscheduled()``."""
        raise NotImplementedError

    def features(self, operator: Operator, spec: TargetSpec, decisions: Decisions) -> Features:
        """What the cost model sees of a point: numbers that a regression tree can split on.

        TVM's own features are taken from loops, and ours exist only once a family has expanded its decisions. These are
        the family, the operator's sizes, each decision, and the product of each two: a tree sees an area only if it is
        given one. Sizes and tiles are powers of two more often than not, hence the logarithms. Decisions called
        ``rows`` and ``vectors`` are a register tile in every family: ``registers`` is the share that it and its
        operands take; a step loads ``vectors`` vectors and broadcasts ``rows`` scalars for ``rows * vectors``
        multiply-adds; each reads ``activation_bytes`` of the activations. A family that knows more adds to this.
        """
        found = {f"family.{self.name}": 1.0, f"kind.{operator.kind}": 1.0}
        for name, value in dataclasses.asdict(operator).items():
            if isinstance(value, str):
                found[f"{name}.{value}"] = 1.0
            else:
                found[f"size.{name}"] = math.log2(1 + value)
        logs = {name: math.log2(1 + value) for name, value in decisions.items()}
        pairs = itertools.combinations(logs.items(), 2)
        found |= logs | {f"{a}*{b}": first + second for (a, first), (b, second) in pairs}
        if {"rows", "vectors"} <= decisions.keys():
            rows, vectors = decisions["rows"], decisions["vectors"]
            found["tile.registers"] = (rows * vectors + vectors + 1) / spec.registers
            found["tile.fmas_per_load"] = rows * vectors / (rows + vectors)
            found["tile.activation_bytes"] = np.dtype(operator.arguments()[0].dtype).itemsize / rows
            for name, extent in (("rows", rows), ("tokens", vectors * spec.lanes)):
                if size := getattr(operator, name, None):
                    found[f"tile.in_{name}"] = math.log2(size / extent)
        return found

    def points(self, operator: Operator, spec: TargetSpec) -> list[Decisions]:
        """All valid points of the space; the first is the untuned default."""
        space = self.space(operator, spec)
        if isinstance(space, str):
            return []
        every = (dict(zip(space, values, strict=True)) for values in itertools.product(*space.values()))
        return [decisions for decisions in every if self.valid(operator, spec, decisions)]


_FAMILIES: dict[str, Family] = {}


def register(*families: Family) -> None:
    """Make families known by name; the order is the index that a tuning record stores."""
    _FAMILIES.update({family.name: family for family in families})


def find_family(name: str) -> Family:
    """The family of that name."""
    return _FAMILIES[name]


def families_for(operator: Operator) -> list[Family]:
    """Families that know this kind of operator, in order of registration."""
    return [family for family in _FAMILIES.values() if isinstance(operator, family.operators)]


def applicable(operator: Operator, spec: TargetSpec) -> list[tuple[int, Family]]:
    """(index, family) of those that can compute this operator on this target."""
    known = enumerate(families_for(operator))
    return [(index, family) for index, family in known if family.points(operator, spec)]


def refusals(operator: Operator, spec: TargetSpec) -> dict[str, str]:
    """Family name -> reason, for the families that cannot."""
    answers = {family.name: family.space(operator, spec) for family in families_for(operator)}
    return {name: answer for name, answer in answers.items() if isinstance(answer, str)}
