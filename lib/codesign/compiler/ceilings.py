"""What this machine can do at best: multiply-adds a second in registers, bytes a second from memory or another core.

LLVM compiles these kernels from TensorIR as it does all others, so that ceiling and kernels share a compiler.

``python -m codesign.compiler.ceilings DIRECTORY THREADS`` compiles those that a session watches its machine with, in a
process of its own: it imports the whole compiler, and PyTorch with it, and what it leaves needs the runtime only.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from codesign import machine
from codesign.compiler.operators.base import Argument, primfunc
from codesign.compiler.peaks import INSTRUCTIONS, TILE_INSTRUCTIONS, Instruction, Peak, Probe, TilePeak
from codesign.compiler.scalar import f32
from codesign.compiler.schedules.emit import Registers
from codesign.compiler.target import TargetSpec, target_spec
from codesign.compiler.tvm_compat import T, tirx, tvm
from codesign.compiler.workers import outcome, runner
from codesign.isa import cpu_flags, isa_of, request_amx

#: Where operands come from, the fastest first.
LEVELS = ("registers", "L1", "L2", "L3", "DRAM")
#: And where they come from when another core has just written them.
EXCHANGE = "between cores"

_SAMPLES, _SAMPLE_S = 40, 0.01  # many short ones: the best has missed all interruptions
_KIB, _MIB, _GIB = 2**10, 2**20, 2**30
_DRAM_LEAST = 256 * _MIB


@dataclass(frozen=True)
class Stream(Probe):
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

    def function(self) -> tirx.PrimFunc:
        with primfunc(self) as ((loops, x, y), finish), T.parallel(0, self.threads) as p:
            tile = Registers(1, self.vectors, self.lanes)
            tile.fill(f32(0.0))
            with T.serial(0, loops[0]), T.serial(0, loops[1]) as t:
                tile.each(lambda at: tile.__setitem__(at, tile[at] + x[p, t, at.column]))
            tile.each(lambda at: T.buffer_store(y, tile[at], [p, at.column]))
        return finish()


@dataclass(frozen=True)
class Exchange(Probe):
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

    def function(self) -> tirx.PrimFunc:
        # the first launch starts the sums
        with primfunc(self) as ((loops, y), finish), T.serial(0, loops[0]) as k, T.parallel(0, self.threads) as p:
            part = self.part(p, k)
            with T.serial(0, self.vectors) as vector, T.vectorized(0, self.lanes) as lane:
                at = vector * self.lanes + lane
                T.buffer_store(y, tirx.Select(k > 0, y[part, at], f32(0.0)) + f32(1.0), [part, at])
        return finish()


def measure() -> Iterator[dict[str, Any]]:
    """Measure every ceiling, first with one thread, then with one on every core; takes about half a minute.

    Yields
    ------
    dict
        Fields of a `ceiling` record: ``rate`` is the best of ``samples``, in ``unit``; or None, and there is a
        ``reason``. ``level`` is where operands come from; ``bytes`` the memory that all threads read together.
    """
    info, here = machine.describe(), isa_of(cpu_flags()).formats
    for threads in sorted({1, info.cores}):
        pool, spec = runner(threads), target_spec(threads)
        for each in (*INSTRUCTIONS, *TILE_INSTRUCTIONS):
            what = "registers", each.isa, each.format, "Gop/s" if each.format == "int8" else "GFLOP/s"
            lacking = None if each.isa in here[each.format] else f"this CPU has no {each.isa}"
            target = target_spec(threads, "avx2") if each.isa == "avx2" else spec
            yield _ceiling(pool, peak(each, threads), target, what, lacking)
        probes: list[tuple[str, Probe]] = [(level, stream(info, level, spec)) for level in LEVELS[1:]]
        if threads > 1:
            probes.append((EXCHANGE, exchange(info, spec)))
        for level, probe in probes:
            what = level, "avx512f" if spec.lanes == 16 else "avx2", "fp32", "GB/s"
            lacking = f"no size of buffer that certainly comes from {level}: a cache is unknown, or hardly larger"
            yield _ceiling(pool, probe, spec, what, None if probe.bytes else lacking)


def _ceiling(
    pool: Any, probe: Probe, spec: TargetSpec, what: tuple[str, str, str, str], lacking: str | None
) -> dict[str, Any]:
    """Time a probe in the worker, if nothing is lacking; ``what`` is level, isa, format and unit."""
    samples, reason = (None, lacking) if lacking else outcome(pool.submit(rates, probe, spec))
    best = max(samples) if samples else None
    return {
        **dict(zip(("level", "isa", "format", "unit"), what, strict=True)),
        **{"target": spec.cpu, "threads": spec.threads, "bytes": probe.bytes},
        **{"rate": best, "samples": samples or [], "reason": reason},
    }


def peak(instruction: Instruction, threads: int) -> Peak | TilePeak:
    """The kernel that repeats an instruction, on all registers but four where they are vectors."""
    if instruction in TILE_INSTRUCTIONS:
        return TilePeak(instruction, threads)
    return Peak(instruction, threads, (32 if instruction.lanes == 16 else 16) - 4)


def stream(info: machine.MachineInfo, level: str, spec: TargetSpec) -> Stream:
    """The kernel that reads from a level, with a buffer of 0 bytes where none would."""
    return Stream(
        spec.lanes, buffer_bytes(info, level, spec.threads) // (4 * Stream.vectors * spec.lanes), spec.threads
    )


def exchange(info: machine.MachineInfo, spec: TargetSpec) -> Exchange:
    """The kernel that moves data between cores, with a buffer of 0 bytes where the size of an L2 is unknown."""
    return Exchange(spec.lanes, buffer_bytes(info, EXCHANGE, spec.threads) // (4 * spec.lanes), spec.threads)


def buffer_bytes(info: machine.MachineInfo, level: str, threads: int) -> int:
    """Bytes that each thread reads to measure a level: half of that cache, far more than the one before; 0 = cannot.

    What cores exchange fits four times into an L2: it leaves that cache for another core's only.
    """
    l1, l2, l3 = (size * _KIB for size in (info.l1d_kib, info.l2_kib, info.l3_kib))
    if level == EXCHANGE:
        return l2 // 4
    match level:
        case "L1":
            return l1 // 2
        case "L2":
            return l2 // 2 if l2 >= 4 * l1 else 0
        case "L3":  # shared, so a thread's share must still be larger than its own L2
            return l3 // 2 // threads if l3 >= 4 * l2 * threads else 0
        case _:
            return int(min(max(4 * l3, _DRAM_LEAST), info.memory_gib * _GIB / 8)) // threads


def compiled(kernel: Probe, spec: TargetSpec) -> Any:
    """Compile a ceiling kernel in this process: LLVM ends it where the target lacks an instruction."""
    return tvm.compile(tvm.IRModule({"main": kernel.function()}), target=spec.target)


def timer(kernel: Probe, spec: TargetSpec) -> Callable[[int], float]:
    """Compile a kernel; what is returned runs it for a number of passes and returns the seconds."""
    if isinstance(kernel, TilePeak):
        request_amx()
    call = compiled(kernel, spec)["main"]
    inputs = kernel.example_inputs(np.random.default_rng(0))[1:]
    output = kernel.arguments()[-1]
    tensors = [*map(tvm.runtime.tensor, inputs), tvm.runtime.empty(output.shape, output.dtype)]

    def seconds(passes: int) -> float:
        count = tvm.runtime.tensor(kernel.loops(passes))
        start = time.perf_counter()
        call(count, *tensors)
        return time.perf_counter() - start

    return seconds


def rates(kernel: Probe, spec: TargetSpec) -> list[float]:
    """Time a kernel: billions of operations, or of bytes, a second, one value a sample."""
    seconds, passes = timer(kernel, spec), 1
    while (elapsed := seconds(passes)) < _SAMPLE_S:
        passes = int(passes * min(10.0, 1 + 1.2 * _SAMPLE_S / elapsed))
    return [kernel.work(passes) / seconds(passes) / 1e9 for _ in range(_SAMPLES)]


def watch_kernels(directory: Path, threads: int) -> None:
    """Compile the kernels behind two ceilings, with the same buffers: the rates can then be compared.

    Kernel ``name`` is in the library ``name.so``. ``plan.json`` maps ``between_cores`` and ``l2`` (one thread's part of
    it) to ``loops``, the first input of a call that goes through the buffer once, to ``work``, the bytes that such a
    call moves, and to the ``shapes`` of the other arguments. It lacks ``between_cores`` for one thread, and both where
    the size of an L2 is unknown.
    """
    info, one, all_ = machine.describe(), target_spec(1), target_spec(threads)
    plan = {}
    for name, kernel, spec in (("l2", stream(info, "L2", one), one), ("between_cores", exchange(info, all_), all_)):
        if kernel.bytes and (name == "l2" or threads > 1):
            compiled(kernel, spec).export_library(str(directory / f"{name}.so"))
            shapes = [argument.shape for argument in kernel.arguments()[1:]]
            plan[name] = {"loops": kernel.loops(1).tolist(), "work": kernel.work(1), "shapes": shapes}
    (directory / "plan.json").write_text(json.dumps(plan))
