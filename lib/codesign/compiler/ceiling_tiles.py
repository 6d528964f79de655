"""The kernel that measures what AMX can do: products of tiles in its registers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codesign.compiler.ceiling_kernels import Instruction, widened
from codesign.compiler.operators.base import Argument, Operator, primfunc
from codesign.compiler.tvm_compat import T, tirx

#: A tile has so many rows of so many bytes, and there are eight registers.
ROWS, BYTES = 16, 64
#: Instructions for whole tiles: 16 x 16 sums, each of one row and one column.
TILE_INSTRUCTIONS = (
    Instruction("amx_bf16", "bf16", "float32", ROWS * ROWS, BYTES // 2),
    Instruction("amx_int8", "int8", "int32", ROWS * ROWS, BYTES),
)
_INTRINSICS = {"amx_bf16": "tdpbf16ps", "amx_int8": "tdpbusd"}


@dataclass(frozen=True)
class TilePeak(Operator):
    """Independent sums of one product of tiles on every thread: six of them, as the factors take two registers.

    The process must have asked for the registers (`codesign.isa.request_amx`); every thread configures its own.
    """

    kind: ClassVar[str] = "ceiling_tile_peak"
    instruction: Instruction
    threads: int
    chains: ClassVar[int] = 6

    def arguments(self) -> list[Argument]:
        return [
            Argument("loops", (1,), "int32"),
            Argument("config", (BYTES,), "uint8"),
            Argument("a", (ROWS, BYTES), "uint8"),
            Argument("b", (ROWS, BYTES), "uint8"),
            Argument("y", (self.threads, self.chains * ROWS, ROWS), self.instruction.total),
        ]

    def loops(self, passes: int) -> np.ndarray:
        """The first input: how often every sum is lengthened."""
        return np.array([passes], np.int32)

    def work(self, passes: int) -> int:
        """Operations of a call, two for each multiply-add."""
        return 2 * passes * self.chains * self.instruction.lanes * self.instruction.products * self.threads

    def example_inputs(self, rng: np.random.Generator) -> list[np.ndarray]:
        config = np.zeros(BYTES, np.uint8)
        config[0] = 1  # the palette; then bytes of a row and rows of each register
        config[16:32].view(np.uint16)[:] = BYTES
        config[48:56] = ROWS
        if self.instruction.format == "int8":
            a, b = rng.integers(0, 100, (2, ROWS, BYTES)).astype(np.uint8)
        else:  # the upper halves of small float32
            halves = rng.integers(-8, 9, (2, ROWS, BYTES // 2)).astype(np.float32).view(np.uint32) >> 16
            a, b = halves.astype(np.uint16).view(np.uint8)
        return [self.loops(3), config, a, b]

    def oracle(self, *inputs: np.ndarray) -> np.ndarray:
        (passes,), _, a, b = inputs
        if self.instruction.format == "int8":
            x, w = a.astype(np.float64), b.view(np.int8).astype(np.float64)
        else:
            x, w = widened(a), widened(b)
        packed = 4 // (BYTES // x.shape[1])  # factors in four bytes, which belong to one column of b
        w = w.reshape(ROWS, ROWS, packed).transpose(0, 2, 1).reshape(-1, ROWS)
        return np.tile(passes * (x @ w), (self.threads, self.chains, 1))

    def function(self) -> tirx.PrimFunc:
        """Emit the loops."""
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
