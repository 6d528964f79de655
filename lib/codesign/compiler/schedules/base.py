"""The contract of a schedule family, and the registry."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from codesign.compiler.operators import Operator
from codesign.compiler.schedules import features
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import tirx

#: What the search chose: decision name -> value.
Decisions = dict[str, int]


@dataclass(frozen=True)
class Space:
    """The decisions of a family for one operator on one target.

    ``options`` maps each decision to its candidate values, the best guess first; not every combination need be valid.
    """

    options: dict[str, tuple[int, ...]]

    def __iter__(self) -> Iterator[Decisions]:
        for values in itertools.product(*self.options.values()):
            yield dict(zip(self.options, values, strict=True))


class Family:
    """A way to compute an operator: a decision space, and a generator of loops for each point of it."""

    name: ClassVar[str]
    operators: ClassVar[tuple[type[Operator], ...]]
    #: Types of stored weights that `generate` can read.
    dtypes: ClassVar[tuple[str, ...]] = ("float32",)

    def offers(self, operator: Operator, spec: TargetSpec) -> Space | str:
        """Return `space`, or the reason why there is none; weights of a type that is not in `dtypes` are one."""
        if operator.weight_type() not in self.dtypes:
            return f"weights are {operator.weight_type()}, not {' or '.join(self.dtypes)}"
        return self.space(operator, spec)

    def space(self, operator: Any, spec: TargetSpec) -> Space | str:
        """Return the decisions open for ``operator`` on ``spec``, or the reason why this family cannot compute it."""
        raise NotImplementedError

    def valid(self, operator: Any, spec: TargetSpec, decisions: Decisions) -> bool:
        """Whether these decisions fit together (registers, divisibility)."""
        return True

    def generate(self, operator: Any, spec: TargetSpec, decisions: Decisions) -> tirx.PrimFunc:
        """Emit the scheduled function: same signature, same result as ``operator.unscheduled()``."""
        raise NotImplementedError

    def features(self, operator: Operator, spec: TargetSpec, decisions: Decisions) -> features.Features:
        """What the cost model sees of a point: the family, the operator's sizes, the decisions and their products.

        Decisions called ``rows`` and ``vectors`` are a register tile in every family. A family that knows more about
        its decisions adds to this.
        """
        found = {f"family.{self.name}": 1.0, **features.of_operator(operator), **features.of_decisions(decisions)}
        if {"rows", "vectors"} <= decisions.keys():
            found |= features.of_register_tile(operator, spec, decisions["rows"], decisions["vectors"])
        return found

    def points(self, operator: Operator, spec: TargetSpec) -> list[Decisions]:
        """All valid points of the space; the first is the untuned default."""
        space = self.offers(operator, spec)
        return [] if isinstance(space, str) else [d for d in space if self.valid(operator, spec, d)]


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
    answers = {family.name: family.offers(operator, spec) for family in families_for(operator)}
    return {name: answer for name, answer in answers.items() if isinstance(answer, str)}
