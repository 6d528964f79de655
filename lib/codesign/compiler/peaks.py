"""Multiply-adds of vectors or tiles, repeated in registers: the kernels that measure what an instruction can do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codesign.compiler.operators.base import Argument, Operator, primfunc
from codesign.compiler.tvm_compat import T, tirx


@dataclass(frozen=True)
class Instruction:
    """A multiply-add of vectors, or of tiles.

    ``isa`` is what a CPU must have; there are ``lanes`` sums of type ``total``, and each takes in ``products`` of
    ``format``. Where TVM has no vectors of such types, ``llvm`` is a function of LLVM named ``isa``, of the sums and
    two vectors of packed operands. (TVM widens every bfloat16 vector before code generation.) No product can be moved
    out of a loop: in some instructions the sums are themselves a factor, and LLVM knows nothing of the others.
    """

    isa: str
    format: str
    total: str
    lanes: int
    products: int = 1
    llvm: str = ""


class Probe(Operator):
    """A kernel that does one thing over and over, as often as its first input says."""

    @property
    def bytes(self) -> int:
        """Size of the memory that all threads go through together."""
        return 0

    def loops(self, passes: int) -> np.ndarray:
        """The first input."""
        return np.array([passes], np.int32)

    def work(self, passes: int) -> int:
        """What a call does: operations, or bytes moved."""
        raise NotImplementedError

    def function(self) -> tirx.PrimFunc:
        """Emit the loops."""
        raise NotImplementedError


def _halves(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Small numbers in bfloat16, the upper halves of float32, as their bits."""
    return (rng.integers(-8, 9, shape).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def _dot(name: str, lanes: int, total: str, packed: str, intrinsic: str) -> str:
    """One instruction that adds products to the sums."""
    vector, words = f"<{lanes} x {total}>", f"<{lanes} x i32>"
    return (
        f"declare {vector} @{intrinsic}({vector}, {packed}, {packed})\n"
        f"define {vector} @{name}({vector} %sum, {words} %a, {words} %b) {{\n"
        f"  %x = bitcast {words} %a to {packed}\n"
        f"  %y = bitcast {words} %b to {packed}\n"
        f"  %r = call {vector} @{intrinsic}({vector} %sum, {packed} %x, {packed} %y)\n"
        f"  ret {vector} %r\n"
        "}\n"
    )


def _maddubs(name: str, lanes: int, products: str, pairs: str) -> str:
    """Three instructions that do the same: products of bytes, summed in pairs of 16 bits, and those in pairs of 32."""
    words, halves, bytes_ = f"<{lanes} x i32>", f"<{2 * lanes} x i16>", f"<{4 * lanes} x i8>"
    return (
        f"declare {halves} @{products}({bytes_}, {bytes_})\n"
        f"declare {words} @{pairs}({halves}, {halves})\n"
        f"define {words} @{name}({words} %sum, {words} %a, {words} %b) {{\n"
        f"  %x = bitcast {words} %sum to {bytes_}\n"
        f"  %y = bitcast {words} %b to {bytes_}\n"
        f"  %p = call {halves} @{products}({bytes_} %x, {bytes_} %y)\n"
        f"  %q = call {words} @{pairs}({halves} %p, {halves} splat (i16 1))\n"
        f"  %r = add {words} %sum, %q\n"
        f"  ret {words} %r\n"
        "}\n"
    )


def _vpdpbusd(isa: str, lanes: int) -> Instruction:
    text = _dot(isa, lanes, "i32", f"<{4 * lanes} x i8>", f"llvm.x86.avx512.vpdpbusd.{32 * lanes}")
    return Instruction(isa, "int8", "int32", lanes, 4, text)


def _vpmaddubsw(isa: str, lanes: int, products: str, pairs: str) -> Instruction:
    return Instruction(isa, "int8", "int32", lanes, 4, _maddubs(isa, lanes, products, pairs))


_DPBF16PS = _dot("avx512_bf16", 16, "float", "<32 x bfloat>", "llvm.x86.avx512bf16.dpbf16ps.512")

#: Of vectors, by number format and by age.
INSTRUCTIONS = (
    Instruction("avx2", "fp32", "float32", 8),
    Instruction("avx512f", "fp32", "float32", 16),
    Instruction("avx512_bf16", "bf16", "float32", 16, 2, _DPBF16PS),
    _vpmaddubsw("avx2", 8, "llvm.x86.avx2.pmadd.ub.sw", "llvm.x86.avx2.pmadd.wd"),
    _vpmaddubsw("avx512bw", 16, "llvm.x86.avx512.pmaddubs.w.512", "llvm.x86.avx512.pmaddw.d.512"),
    _vpdpbusd("avx_vnni", 8),
    _vpdpbusd("avx512_vnni", 16),
)
#: A tile has so many rows of so many bytes, and there are eight registers.
ROWS, BYTES = 16, 64
#: Instructions for whole tiles: 16 x 16 sums, each of one row and one column.
TILE_INSTRUCTIONS = (
    Instruction("amx_bf16", "bf16", "float32", ROWS * ROWS, BYTES // 2),
    Instruction("amx_int8", "int8", "int32", ROWS * ROWS, BYTES),
)
_INTRINSICS = {"amx_bf16": "tdpbf16ps", "amx_int8": "tdpbusd"}


@dataclass(frozen=True)
class _InRegisters(Probe):
    instruction: Instruction
    threads: int
    chains: int

    def work(self, passes: int) -> int:
        """Operations of a call, two for each multiply-add."""
        return 2 * passes * self.chains * self.instruction.lanes * self.instruction.products * self.threads


@dataclass(frozen=True)
class Peak(_InRegisters):
    """Independent chains of one instruction on every thread, as many as there are registers for.

    Each chain starts elsewhere: equal ones could be computed once.
    """

    kind: ClassVar[str] = "ceiling_peak"

    def arguments(self) -> list[Argument]:
        lanes, total = self.instruction.lanes, self.instruction.total
        operand = "int32" if self.instruction.llvm else "float32"  # packed: four bytes a lane
        return [
            Argument("loops", (1,), "int32"),
            Argument("start", (self.chains * lanes,), total),
            Argument("a", (lanes,), operand),
            Argument("b", (lanes,), operand),
            Argument("y", (self.threads, self.chains * lanes), total),
        ]

    def example_inputs(self, rng: np.random.Generator) -> list[np.ndarray]:
        start = rng.integers(0, 100, self.chains * self.instruction.lanes).astype(self.instruction.total)
        lanes = self.instruction.lanes
        match self.instruction.format:
            case "fp32":
                a, b = np.full(lanes, 0.5, np.float32), rng.integers(1, 9, lanes).astype(np.float32)
            case "bf16":
                a, b = _halves(rng, 2, lanes, 2).view(np.int32)[..., 0]
            case _:
                a, b = rng.integers(0, 100, (2, lanes, 4)).astype(np.int8).view(np.int32)[..., 0]
        return [self.loops(3), start, a, b]

    def function(self) -> tirx.PrimFunc:
        lanes, text = self.instruction.lanes, self.instruction.llvm
        imported = T.attr(0, "pragma_import_llvm", text) if text else contextlib.nullcontext()
        with primfunc(self) as ((loops, start, a, b, y), finish), imported, T.parallel(0, self.threads) as p:
            tile = T.alloc_buffer((self.chains * lanes,), self.instruction.total, scope="local")
            whole = T.ramp(0, 1, lanes)

            def longer(total: Any) -> Any:
                if text:
                    return T.call_pure_extern(
                        f"{self.instruction.total}x{lanes}", self.instruction.isa, total, a[whole], b[whole]
                    )
                return total * a[whole] + b[whole]

            self._each(lambda at: T.buffer_store(tile, start[at], [at]))
            with T.serial(0, loops[0]):
                self._each(lambda at: T.buffer_store(tile, longer(tile[at]), [at]))
            self._each(lambda at: T.buffer_store(y, tile[at], [p, at]))
        return finish()

    def _each(self, emit: Callable[[Any], None]) -> None:
        with T.unroll(0, self.chains) as chain:
            emit(T.ramp(chain * self.instruction.lanes, 1, self.instruction.lanes))


@dataclass(frozen=True)
class TilePeak(_InRegisters):
    """Independent sums of one product of tiles on every thread: six of them, as the factors take two registers.

    The process must have asked for the registers (`codesign.isa.request_amx`); every thread configures its own.
    """

    kind: ClassVar[str] = "ceiling_tile_peak"
    chains: int = 6

    def arguments(self) -> list[Argument]:
        return [
            Argument("loops", (1,), "int32"),
            Argument("config", (BYTES,), "uint8"),
            Argument("a", (ROWS, BYTES), "uint8"),
            Argument("b", (ROWS, BYTES), "uint8"),
            Argument("y", (self.threads, self.chains * ROWS, ROWS), self.instruction.total),
        ]

    def example_inputs(self, rng: np.random.Generator) -> list[np.ndarray]:
        config = np.zeros(BYTES, np.uint8)
        config[0] = 1  # the palette; then bytes of a row and rows of each register
        config[16:32].view(np.uint16)[:] = BYTES
        config[48:56] = ROWS
        if self.instruction.format == "int8":
            a, b = rng.integers(0, 100, (2, ROWS, BYTES)).astype(np.uint8)
        else:
            a, b = _halves(rng, 2, ROWS, BYTES // 2).view(np.uint8)
        return [self.loops(3), config, a, b]

    def function(self) -> tirx.PrimFunc:
        product = _INTRINSICS[self.instruction.isa]
        a_tile, b_tile = self.chains, self.chains + 1
        with primfunc(self) as ((loops, config, a, b, y), finish), T.parallel(0, self.threads) as p:
            _amx("ldtilecfg", tirx.address_of(config[0]))
            for chain in range(self.chains):
                _amx("tilezero", _tile(chain))
            _amx("tileloadd64", _tile(a_tile), tirx.address_of(a[0, 0]), tirx.const(BYTES, "int64"))
            _amx("tileloadd64", _tile(b_tile), tirx.address_of(b[0, 0]), tirx.const(BYTES, "int64"))
            with T.serial(0, loops[0]):
                for chain in range(self.chains):
                    _amx(product, _tile(chain), _tile(a_tile), _tile(b_tile))
            for chain in range(self.chains):
                here = tirx.address_of(y[p, chain * ROWS, 0])
                _amx("tilestored64", _tile(chain), here, tirx.const(BYTES, "int64"))
            _amx("tilerelease")
        return finish()


def _tile(number: int) -> Any:
    return tirx.const(number, "int8")


def _amx(name: str, *arguments: Any) -> None:
    T.evaluate(T.call_llvm_intrin("void", f"llvm.x86.{name}", *arguments))
