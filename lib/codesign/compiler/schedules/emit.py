"""Loops that several families share: vector registers as a flat local buffer, and the outer-product step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from codesign.compiler.tvm_compat import T, tirx

Buffer = Any
Expr = Any


def f32(value: float) -> Expr:
    """A float32 constant."""
    return tirx.const(value, "float32")


class Registers:
    """An accumulator tile of ``rows x vectors`` vector registers of ``lanes`` float32.

    LLVM promotes a local buffer to registers once every index is a constant, which unrolling both loops ensures.
    """

    def __init__(self, rows: int, vectors: int, lanes: int) -> None:
        self.rows, self.vectors, self.lanes = rows, vectors, lanes
        self.buffer = T.alloc_buffer((rows * vectors * lanes,), "float32", scope="local")

    def each(self, emit: Callable[[Any, Any, Any, Any], None]) -> None:
        """Call ``emit(slot, row, column, vector)`` in unrolled and vectorised loops; ``column`` counts elements."""
        with T.unroll(0, self.vectors) as t, T.unroll(0, self.rows) as r, T.vectorized(0, self.lanes) as v:
            emit((r * self.vectors + t) * self.lanes + v, r, t * self.lanes + v, t)

    def fill(self, value: Expr) -> None:
        """Set every element."""
        self.each(lambda slot, *_: T.buffer_store(self.buffer, value, [slot]))

    def multiply_add(self, scalars: Callable[[Any], Expr], vectors: Callable[[Any], Expr]) -> None:
        """One outer product: ``tile[r, c] += scalars(r) * vectors(c)``."""
        self.each(
            lambda slot, r, c, _: T.buffer_store(self.buffer, self.buffer[slot] + scalars(r) * vectors(c), [slot])
        )

    def store(self, write: Callable[[Expr, Any, Any], None]) -> None:
        """Call ``write(value, row, column)`` for every element, row by row."""
        with T.unroll(0, self.rows) as r, T.unroll(0, self.vectors) as t, T.vectorized(0, self.lanes) as v:
            write(self.buffer[(r * self.vectors + t) * self.lanes + v], r, t * self.lanes + v)


def fits(rows: int, vectors: int, registers: int) -> bool:
    """Whether an accumulator tile leaves room for its operands: a row of vectors and a broadcast scalar."""
    return rows * vectors + vectors + 1 <= registers


#: float32 in a cache line of 64 bytes.
LINE = 16


def prefetch(element: Expr) -> None:
    """Ask for the cache line of a buffer element: for reading, to stay in all caches."""
    hints = (tirx.const(value, "int32") for value in (0, 3, 1))
    T.evaluate(tirx.call_intrin("void", "tirx.prefetch", tirx.address_of(element), *hints))


def serial_unrolled(extent: int, unroll: int, step: Callable[[Any], None]) -> None:
    """``for k in range(extent): step(k)`` with an inner unrolled loop, the remainder unrolled too."""
    whole, rest = divmod(extent, unroll)
    if whole > 1:
        with T.serial(0, whole) as outer, T.unroll(0, unroll) as inner:
            step(outer * unroll + inner)
    elif whole:
        with T.unroll(0, unroll) as inner:
            step(inner)
    if rest:
        with T.unroll(0, rest) as inner:
            step(whole * unroll + inner)
