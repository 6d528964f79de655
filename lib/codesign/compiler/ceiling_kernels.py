"""The kernels that measure ceilings: multiply-adds in registers, sums over a buffer, parts that threads exchange."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codesign.compiler.operators.base import Argument, Operator, primfunc
from codesign.compiler.schedules.emit import Registers, f32
from codesign.compiler.tvm_compat import T, tirx


@dataclass(frozen=True)
class Instruction:
    """A multiply-add of vectors, or of tiles.

    ``isa`` is what a CPU must have; there are ``lanes`` sums of type ``total``, and each takes in ``products`` of
    ``format``. Where TVM has no vectors of such types, ``llvm`` is a function of LLVM named ``isa``, of the sums and
    two vectors of packed operands. (TVM widens every bfloat16 vector before code generation.) ``scaled`` says that the
    sums are themselves a factor, so that no product can be moved out of a loop.
    """

    isa: str
    format: str
    total: str
    lanes: int
    products: int = 1
    llvm: str = ""
    scaled: bool = False


def widened(bits: np.ndarray) -> np.ndarray:
    """Bits of bfloat16, packed in anything, as float64."""
    return (bits.view(np.uint16).astype(np.uint32) << 16).view(np.float32).astype(np.float64)


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
    return Instruction(isa, "int8", "int32", lanes, 4, _maddubs(isa, lanes, products, pairs), scaled=True)


_DPBF16PS = _dot("avx512_bf16", 16, "float", "<32 x bfloat>", "llvm.x86.avx512bf16.dpbf16ps.512")

#: Of vectors, by number format and by age.
INSTRUCTIONS = (
    Instruction("avx2", "fp32", "float32", 8, scaled=True),
    Instruction("avx512f", "fp32", "float32", 16, scaled=True),
    Instruction("avx512_bf16", "bf16", "float32", 16, 2, _DPBF16PS),
    _vpmaddubsw("avx2", 8, "llvm.x86.avx2.pmadd.ub.sw", "llvm.x86.avx2.pmadd.wd"),
    _vpmaddubsw("avx512bw", 16, "llvm.x86.avx512.pmaddubs.w.512", "llvm.x86.avx512.pmaddw.d.512"),
    _vpdpbusd("avx_vnni", 8),
    _vpdpbusd("avx512_vnni", 16),
)


@dataclass(frozen=True)
class Peak(Operator):
    """Independent chains of one instruction on every thread, as many as there are registers for.

    Each chain starts elsewhere: equal ones could be computed once.
    """

    kind: ClassVar[str] = "ceiling_peak"
    instruction: Instruction
    chains: int
    threads: int

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

    def loops(self, passes: int) -> np.ndarray:
        """The first input: how often every chain is lengthened."""
        return np.array([passes], np.int32)

    def work(self, passes: int) -> int:
        """Operations of a call, two for each multiply-add."""
        return 2 * passes * self.chains * self.instruction.lanes * self.instruction.products * self.threads

    def example_inputs(self, rng: np.random.Generator) -> list[np.ndarray]:
        start = rng.integers(0, 100, self.chains * self.instruction.lanes).astype(self.instruction.total)
        lanes = self.instruction.lanes
        match self.instruction.format:
            case "fp32":
                a, b = np.full(lanes, 0.5, np.float32), rng.integers(1, 9, lanes).astype(np.float32)
            case "bf16":  # the upper halves of small float32
                halves = rng.integers(-8, 9, (2, lanes, 2)).astype(np.float32).view(np.uint32) >> 16
                a, b = halves.astype(np.uint16).view(np.int32)[..., 0]
            case _:
                a, b = rng.integers(0, 100, (2, lanes, 4)).astype(np.int8).view(np.int32)[..., 0]
        return [self.loops(3), start, a, b]

    def oracle(self, *inputs: np.ndarray) -> np.ndarray:
        (passes,), start, a, b = inputs
        y = start.reshape(self.chains, -1)
        if not self.instruction.scaled:
            y = y + passes * self._dot(a, b)
        else:
            for _ in range(passes):
                y = y.astype(np.float64) * a + b if self.instruction.total == "float32" else y + self._saturating(y, b)
        return np.tile(y.reshape(1, -1), (self.threads, 1))

    def _dot(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """What one packed instruction adds to each lane."""
        if self.instruction.format == "int8":
            products = a.view(np.uint8).astype(np.float64) * b.view(np.int8)  # one side is unsigned
        else:
            products = widened(a) * widened(b)
        return products.reshape(self.instruction.lanes, -1).sum(axis=1)

    def _saturating(self, sums: np.ndarray, b: np.ndarray) -> np.ndarray:
        """What ``vpmaddubsw`` and ``vpmaddwd`` make of the bytes of the sums: pairs of products are cut to 16 bits."""
        products = np.ascontiguousarray(sums).view(np.uint8).astype(np.int32) * b.view(np.int8)
        pairs = products.reshape(len(sums), -1, 2).sum(axis=2).clip(-(2**15), 2**15 - 1)
        return pairs.reshape(len(sums), -1, 2).sum(axis=2).astype(np.int32)

    def function(self) -> tirx.PrimFunc:
        """Emit the loops."""
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
                return total * a[whole] + b[whole]  # `scaled`: no product can be moved out of the loop

            self._each(lambda at: T.buffer_store(tile, start[at], [at]))
            with T.serial(0, loops[0]):
                self._each(lambda at: T.buffer_store(tile, longer(tile[at]), [at]))
            self._each(lambda at: T.buffer_store(y, tile[at], [p, at]))
        return finish()

    def _each(self, emit: Callable[[Any], None]) -> None:
        with T.unroll(0, self.chains) as chain:
            emit(T.ramp(chain * self.instruction.lanes, 1, self.instruction.lanes))


@dataclass(frozen=True)
class Stream(Operator):
    """Sums over a buffer of its own on every thread, again and again.

    How large the buffer is, the compiler does not know: it can keep no part of it in registers.
    """

    kind: ClassVar[str] = "ceiling_stream"
    lanes: int
    tiles: int
    threads: int
    vectors: ClassVar[int] = 12  # sums in flight, and vectors in a tile

    def arguments(self) -> list[Argument]:
        tile = self.vectors * self.lanes
        return [
            Argument("loops", (2,), "int32"),
            Argument("x", (self.threads, self.tiles, tile)),
            Argument("y", (self.threads, tile)),
        ]

    @property
    def bytes(self) -> int:
        """Size of all buffers together."""
        return 4 * self.threads * self.tiles * self.vectors * self.lanes

    def loops(self, passes: int) -> np.ndarray:
        """The first input: how often the buffer is read, and its size in tiles."""
        return np.array([passes, self.tiles], np.int32)

    def work(self, passes: int) -> int:
        """Bytes that a call reads."""
        return passes * self.bytes

    def example_inputs(self, rng: np.random.Generator) -> list[np.ndarray]:
        shape = self.arguments()[1].shape
        return [self.loops(3), np.broadcast_to(rng.integers(0, 9, shape[1:]).astype(np.float32), shape)]

    def oracle(self, *inputs: np.ndarray) -> np.ndarray:
        (passes, _), x = inputs
        return passes * x.astype(np.float64).sum(axis=1)

    def function(self) -> tirx.PrimFunc:
        """Emit the loops."""
        with primfunc(self) as ((loops, x, y), finish), T.parallel(0, self.threads) as p:
            tile = Registers(1, self.vectors, self.lanes)
            tile.fill(f32(0.0))
            with T.serial(0, loops[0]), T.serial(0, loops[1]) as t:
                tile.each(lambda at: tile.__setitem__(at, tile[at] + x[p, t, at.column]))
            tile.each(lambda at: T.buffer_store(y, tile[at], [p, at.column]))
        return finish()


@dataclass(frozen=True)
class Exchange(Operator):
    """Threads that pass parts of a buffer on: each updates what another wrote in the launch before.

    A part lies in the cache of whoever wrote it, so the rate is that of dirty cache lines moving between cores.
    """

    kind: ClassVar[str] = "ceiling_exchange"
    lanes: int
    vectors: int
    threads: int

    def arguments(self) -> list[Argument]:
        return [Argument("loops", (1,), "int32"), Argument("y", (self.threads, self.vectors * self.lanes))]

    @property
    def bytes(self) -> int:
        """Size of all parts together."""
        return 4 * self.threads * self.vectors * self.lanes

    def part(self, share: Any, launch: Any) -> Any:
        """Which part a share of a launch updates: its neighbour's of the launch before."""
        return (share + launch) % self.threads

    def loops(self, passes: int) -> np.ndarray:
        """The first input: the number of launches, so that every part goes around `passes` times.

        Whole rounds: the first launch of the next call then moves every part, too.
        """
        return np.array([passes * self.threads], np.int32)

    def work(self, passes: int) -> int:
        """Bytes that change cores in a call."""
        return passes * self.threads * self.bytes

    def example_inputs(self, rng: np.random.Generator) -> list[np.ndarray]:
        return [self.loops(3)]

    def oracle(self, *inputs: np.ndarray) -> np.ndarray:
        ((launches,),) = inputs
        return np.full(self.arguments()[-1].shape, launches, np.float64)

    def function(self) -> tirx.PrimFunc:
        """Emit the loops; the first launch starts the sums."""
        with primfunc(self) as ((loops, y), finish), T.serial(0, loops[0]) as k, T.parallel(0, self.threads) as p:
            part = self.part(p, k)
            with T.serial(0, self.vectors) as vector, T.vectorized(0, self.lanes) as lane:
                at = vector * self.lanes + lane
                T.buffer_store(y, tirx.Select(k > 0, y[part, at], f32(0.0)) + f32(1.0), [part, at])
        return finish()
