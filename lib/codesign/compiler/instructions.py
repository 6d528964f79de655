"""Instructions that no TensorIR expression names: what is emitted, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from codesign.compiler.tvm_compat import T, tirx

Expr = Any


@dataclass(frozen=True, eq=False)
class Dot:
    """Sums of products of neighbours, ``sum(a[depth * i + d] * b[depth * i + d] for d in range(depth))`` in lane i.

    Parameters
    ----------
    depth
        Elements of an operand that a lane of the result takes.
    operands, sums
        Types of the elements of both operands, and of the result.
    names
        Lanes of the result -> LLVM's intrinsic.
    """

    depth: int
    operands: str
    sums: str
    names: Mapping[int, str]

    def emit(self, a: Expr, b: Expr, lanes: int) -> Expr:
        """Return the instruction, or what it means where there is none for so many lanes."""
        if lanes not in self.names:
            return self.meaning(a, b, lanes)
        return T.call_llvm_pure_intrin(f"{self.sums}x{lanes}", self.names[lanes], a, b)

    def meaning(self, a: Expr, b: Expr, lanes: int) -> Expr:
        """Return the same in plain arithmetic."""

        def part(vector: Expr, d: int) -> Expr:
            return T.cast(shuffled([vector], range(d, self.depth * lanes, self.depth)), f"{self.sums}x{lanes}")

        return reduce(lambda x, y: x + y, [part(a, d) * part(b, d) for d in range(self.depth)])


def shuffled(vectors: list[Expr], lanes: range | list[int]) -> Expr:
    """Return the vector of these lanes of ``vectors``, counted through."""
    return tirx.Shuffle(vectors, [tirx.const(lane, "int32") for lane in lanes])


#: vpmaddwd.
PAIRS = Dot(2, "int16", "int32", {8: "llvm.x86.avx2.pmadd.wd", 16: "llvm.x86.avx512.pmaddw.d.512"})
