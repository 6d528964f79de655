"""What several families share: tiles of vector registers, and the outer-product step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from codesign.compiler.tvm_compat import T, tirx

Expr = Any


@dataclass(frozen=True)
class At:
    """A place in a register tile: its row, its vector, and a lane of that. ``column`` counts the elements of a row."""

    row: int
    vector: int
    lane: Expr
    column: Expr


class Registers:
    """A tile of ``rows x vectors`` vector registers of ``lanes`` elements, float32 unless said.

    Every register is a buffer of its own, and of the global scope: TVM puts those under 1 KiB on the stack, where LLVM
    keeps them in registers. Larger ones, and those of the local scope, it takes from the heap; LLVM then writes the
    tile back to memory in every other kernel.
    """

    def __init__(self, rows: int, vectors: int, lanes: int, dtype: str = "float32") -> None:
        self.rows, self.vectors, self.lanes = rows, vectors, lanes
        self._registers = [[T.alloc_buffer((lanes,), dtype) for _ in range(vectors)] for _ in range(rows)]

    def __getitem__(self, at: At) -> Expr:
        return self._registers[at.row][at.vector][at.lane]

    def __setitem__(self, at: At, value: Expr) -> None:
        T.buffer_store(self._registers[at.row][at.vector], value, [at.lane])

    def whole(self, row: int, vector: int) -> Expr:
        """Return a register."""
        return self._registers[row][vector][T.ramp(0, 1, self.lanes)]

    def put(self, row: int, vector: int, value: Expr) -> None:
        """Set a register."""
        T.buffer_store(self._registers[row][vector], value, [T.ramp(0, 1, self.lanes)])

    def each(self, emit: Callable[[At], None], rows: range | None = None, vectors: range | None = None) -> None:
        """Call ``emit`` once for every register (of some rows or vectors), inside a loop over its lanes."""
        for vector in vectors or range(self.vectors):
            for row in rows or range(self.rows):
                with T.vectorized(0, self.lanes) as lane:
                    emit(At(row, vector, lane, vector * self.lanes + lane))

    def fill(self, value: Expr) -> None:
        """Set every element."""
        self.each(lambda at: self.__setitem__(at, value))

    def update(self, combine: Callable[[Expr, At], Expr], rows: range | None = None) -> None:
        """Replace every element (of some rows) by what ``combine`` makes of it and its place."""
        self.each(lambda at: self.__setitem__(at, combine(self[at], at)), rows)

    def multiply_add(
        self, scalars: Callable[[int], Expr], vectors: Callable[[Expr], Expr], rows: range | None = None
    ) -> None:
        """One outer product: ``tile[r, c] += scalars(r) * vectors(c)``, r counting from the first of ``rows``."""
        first = rows[0] if rows else 0
        self.update(lambda value, at: value + scalars(at.row - first) * vectors(at.column), rows)

    def accumulate(
        self, extent: int, scalars: Callable[[Expr, int], Expr], vectors: Callable[[Expr, Expr], Expr]
    ) -> None:
        """Add up ``extent`` outer products: ``tile[r, c] += scalars(k, r) * vectors(k, c)``, four steps unrolled."""
        serial_unrolled(extent, 4, lambda k: self.multiply_add(lambda r: scalars(k, r), lambda c: vectors(k, c)))

    def fold(self, rows: int) -> None:
        """Add up every ``rows`` rows, into the first ones."""
        for first in range(rows, self.rows, rows):

            def add(value: Expr, at: At, first: int = first) -> Expr:
                return value + self[replace(at, row=first + at.row)]

            self.update(add, range(rows))


def total(registers: Registers) -> Expr:
    """Sum of all elements of a row of registers; the registers end as partial sums."""
    return _reduced(registers, lambda a, b: a + b)


def largest(registers: Registers) -> Expr:
    """Largest element of a row of registers; the registers end as partial results."""
    return _reduced(registers, tirx.max)


def _reduced(registers: Registers, combine: Callable[[Expr, Expr], Expr]) -> Expr:
    """Combine the vectors into the first, then its lanes by halves, so that few steps wait for each other."""
    first = At(0, 0, 0, 0)

    def fold(at: At) -> None:
        here = replace(at, vector=0)
        registers[here] = combine(registers[here], registers[at])

    registers.each(fold, vectors=range(1, registers.vectors)) if registers.vectors > 1 else None
    half = registers.lanes // 2
    while half:
        for lane in range(half):
            here = replace(first, lane=lane)
            registers[here] = combine(registers[here], registers[replace(first, lane=lane + half)])
        half //= 2
    return registers[first]


@contextmanager
def units_of(thread: Expr, units: int, threads: int) -> Iterator[Expr]:
    """Loop over a thread's share of ``units`` of work, which follow each other; gives the unit."""
    share = -(-units // threads)
    with T.serial(0, tirx.max(tirx.min(share, units - thread * share), 0)) as unit:
        yield thread * share + unit


def fits(rows: int, vectors: int, registers: int) -> bool:
    """Whether an accumulator tile leaves room for its operands: a row of vectors and a broadcast scalar."""
    return rows * vectors + vectors + 1 <= registers


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
