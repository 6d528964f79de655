"""What the cost model sees of a point of a design space: numbers that a regression tree can split on.

TVM's own features are taken from loops, and ours exist only once a family has expanded its decisions; so a family says
what matters about them. Sizes and tiles are powers of two more often than not, hence the logarithms.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

from codesign.compiler.operators import Operator
from codesign.compiler.target import TargetSpec

#: Feature name -> value.
Features = dict[str, float]


def of_operator(operator: Operator) -> Features:
    """Sizes of an operator, so that what is learnt of one task serves the others; words become flags."""
    found: Features = {f"kind.{operator.kind}": 1.0}
    for name, value in dataclasses.asdict(operator).items():
        if isinstance(value, str):
            found[f"{name}.{value}"] = 1.0
        else:
            found[f"size.{name}"] = _log(value)
    return found


def of_decisions(decisions: dict[str, int]) -> Features:
    """Each decision, and the product of each two: a tree sees an area only if it is given one."""
    logs = {name: _log(value) for name, value in decisions.items()}
    pairs = itertools.combinations(logs.items(), 2)
    return {**logs, **{f"{a}*{b}": first + second for (a, first), (b, second) in pairs}}


def of_register_tile(operator: Any, spec: TargetSpec, rows: int, vectors: int) -> Features:
    """What an accumulator tile of ``rows`` by ``vectors`` registers costs and saves.

    ``registers`` is the share that the tile and its operands take; a step loads ``vectors`` vectors and broadcasts
    ``rows`` scalars for ``rows * vectors`` multiply-adds; each reads ``activation_bytes`` of the activations.
    """
    found = {
        "tile.registers": (rows * vectors + vectors + 1) / spec.registers,
        "tile.fmas_per_load": rows * vectors / (rows + vectors),
        "tile.activation_bytes": 4.0 / rows,
    }
    for name, extent in (("rows", rows), ("tokens", vectors * spec.lanes)):
        if size := getattr(operator, name, None):
            found[f"tile.in_{name}"] = math.log2(size / extent)
    return found


def _log(value: float) -> float:
    return math.log2(1 + value)
