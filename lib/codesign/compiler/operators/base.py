"""What every operator has in common, and how one is recognised in a TensorIR function."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codesign.compiler.formats import FP32
from codesign.compiler.tvm_compat import IRBuilder, T, tirx

#: Function attribute that holds an operator's kind and sizes as JSON: part of a task's structure, so of its identity.
ATTRIBUTE = "codesign.operator"
#: Name of the annotated block of every unscheduled operator, and of the schedule rule that TVM calls for it.
BLOCK, RULE = "operator", "codesign.families"

_KINDS: dict[str, type[Operator]] = {}


@dataclass(frozen=True)
class Argument:
    """One argument of an operator; the last one is the output."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"


def activations(name: str, features: int, tokens: int, slab: int) -> Argument:
    """Activations as every operator of the encoder stores them: ``[slabs, features, tokens of a slab]``."""
    return Argument(name, (tokens // slab, features, slab))


def as_matrix(array: np.ndarray) -> np.ndarray:
    """Activations in slabs as one matrix ``[features, tokens]``."""
    return array.transpose(1, 0, 2).reshape(array.shape[1], -1)


def as_slabs(matrix: np.ndarray, slab: int) -> np.ndarray:
    """A matrix ``[features, tokens]`` as activations in slabs."""
    return np.ascontiguousarray(matrix.reshape(len(matrix), -1, slab).transpose(1, 0, 2))


@dataclass(frozen=True)
class Operator:
    """Base of all operators: a frozen dataclass of sizes, so that equal operators are one tuning task."""

    kind: ClassVar[str]
    #: Whether our schedule families compute it; TVM's own rules schedule the others.
    by_families: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        if "kind" in vars(cls):
            _KINDS[cls.kind] = cls

    def arguments(self) -> list[Argument]:
        """Arguments in calling order, the output last."""
        raise NotImplementedError

    def body(self, *buffers: Any) -> None:
        """Emit the unscheduled loops, the definition of the operator in TensorIR."""
        raise NotImplementedError

    def oracle(self, *inputs: np.ndarray) -> np.ndarray:
        """Compute the output in float64 NumPy from the inputs (every argument but the last)."""
        raise NotImplementedError

    def example_inputs(self, rng: np.random.Generator) -> list[np.ndarray]:
        """Valid random inputs: what the tuner measures on. Index arrays must point inside their matrices."""
        return [rng.standard_normal(a.shape).astype(a.dtype) for a in self.arguments()[:-1]]

    @property
    def tolerance(self) -> float:
        """How far a result may be off, relative to the largest."""
        return FP32.tolerance

    @property
    def flops(self) -> int:
        """Floating-point operations of one call that the algorithm cannot avoid."""
        return 0

    def attributes(self) -> str:
        """Kind and sizes as JSON, the form stored in the IR."""
        return json.dumps({"kind": self.kind, **dataclasses.asdict(self)}, sort_keys=True)

    def unscheduled(self) -> tirx.PrimFunc:
        """The task as TVM's tuner sees it: plain loops in a block that names our schedule rule."""
        with primfunc(self) as (buffers, finish), T.sblock(BLOCK):
            *reads, writes = (buffer[tuple(slice(0, extent) for extent in buffer.shape)] for buffer in buffers)
            T.reads(*reads)
            T.writes(writes)
            T.sblock_attr({"schedule_rule": RULE})
            self.body(*buffers)
        return finish()


@contextmanager
def primfunc(operator: Operator) -> Iterator[tuple[list[Any], Callable[[], tirx.PrimFunc]]]:
    """Open a TensorIR function with the operator's signature; the second item returns it once closed."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        T.func_attr(
            {
                "global_symbol": "main",
                "tirx.noalias": True,
                # opaque: FuseOps leaves the function alone, its epilogue is already inside
                "op_pattern": 8,
                # TVM's own count fails on loops whose extent is data
                "estimated_flops": operator.flops,
                ATTRIBUTE: operator.attributes(),
            }
        )
        buffers = [T.arg(a.name, T.buffer(a.shape, a.dtype)) for a in operator.arguments()]
        with T.sblock("root"):
            yield buffers, builder.get


def operator_from(attributes: str) -> Operator:
    """The operator whose `Operator.attributes` these are."""
    fields = json.loads(attributes)
    return _KINDS[fields.pop("kind")](**fields)


def operator_of(function: tirx.PrimFunc) -> Operator | None:
    """The operator that a TensorIR function implements, or None for one of TVM's own."""
    if function.attrs is None or ATTRIBUTE not in function.attrs:
        return None
    return operator_from(str(function.attrs[ATTRIBUTE]))


def family_operator_of(function: tirx.PrimFunc) -> Operator | None:
    """The operator that a function implements, if schedule families compute it."""
    operator = operator_of(function)
    return operator if operator is not None and operator.by_families else None
