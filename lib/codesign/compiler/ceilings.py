"""What this machine can do at best: multiply-adds a second in registers, bytes a second from memory or another core.

LLVM compiles these kernels from TensorIR as it does all others, so that ceiling and kernels share a compiler.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from codesign import machine
from codesign.compiler.ceiling_kernels import INSTRUCTIONS, Exchange, Instruction, Peak, Stream
from codesign.compiler.ceiling_tiles import TILE_INSTRUCTIONS, TilePeak
from codesign.compiler.target import TargetSpec, target_spec
from codesign.compiler.tvm_compat import tvm
from codesign.compiler.workers import runner
from codesign.isa import cpu_flags, isa_of, request_amx

#: Where operands come from, the fastest first.
LEVELS = ("registers", "L1", "L2", "L3", "DRAM")
#: And where they come from when another core has just written them.
EXCHANGE = "between cores"

Kernel = Exchange | Peak | Stream | TilePeak

_SAMPLES, _SAMPLE_S = 40, 0.01  # many short ones: the best has missed all interruptions
_KIB, _MIB, _GIB = 2**10, 2**20, 2**30
_DRAM_LEAST = 256 * _MIB


@dataclass(frozen=True)
class Ceiling:
    """A measured ceiling, as fields of a `ceiling` record.

    ``rate`` is the best of ``samples``, in ``unit``; or None, and there is a ``reason``. ``level`` is where operands
    come from; ``bytes`` the memory that all threads read together.
    """

    level: str
    isa: str
    format: str
    target: str
    threads: int
    bytes: int
    unit: str
    rate: float | None
    samples: list[float]
    reason: str | None


def measure() -> Iterator[Ceiling]:
    """Measure every ceiling, first with one thread, then with one on every core; takes about half a minute."""
    for threads in sorted({1, machine.describe().cores}):
        pool = runner(threads)
        for instruction in (*INSTRUCTIONS, *TILE_INSTRUCTIONS):
            yield _peak(pool, instruction, threads)
        for level in LEVELS[1:]:
            yield _bandwidth(pool, level, threads)
        if threads > 1:
            yield _exchange(pool, threads)


def _peak(pool: Any, instruction: Instruction, threads: int) -> Ceiling:
    unit = "Gop/s" if instruction.format == "int8" else "GFLOP/s"
    spec = target_spec(threads, "avx2" if instruction.isa == "avx2" else "native")
    samples: list[float] = []
    reason: str | None = f"this CPU has no {instruction.isa}"
    if instruction.isa in isa_of(cpu_flags()).formats[instruction.format]:
        samples, reason = _timed(pool, peak(instruction, threads), spec)
    best = max(samples, default=None)
    isa, format_ = instruction.isa, instruction.format
    return Ceiling("registers", isa, format_, spec.cpu, threads, 0, unit, best, samples, reason)


def peak(instruction: Instruction, threads: int) -> Peak | TilePeak:
    """The kernel that repeats an instruction, on all registers but four where they are vectors."""
    if instruction in TILE_INSTRUCTIONS:
        return TilePeak(instruction, threads)
    return Peak(instruction, (32 if instruction.lanes == 16 else 16) - 4, threads)


def _bandwidth(pool: Any, level: str, threads: int) -> Ceiling:
    spec = target_spec(threads)
    return _moved(pool, stream(machine.describe(), level, spec), level, spec)


def _exchange(pool: Any, threads: int) -> Ceiling:
    spec = target_spec(threads)
    return _moved(pool, exchange(machine.describe(), spec), EXCHANGE, spec)


def _moved(pool: Any, kernel: Exchange | Stream, level: str, spec: TargetSpec) -> Ceiling:
    samples: list[float] = []
    reason: str | None = f"no size of buffer that certainly comes from {level}: a cache is unknown, or hardly larger"
    if kernel.bytes:
        samples, reason = _timed(pool, kernel, spec)
    isa = "avx512f" if spec.lanes == 16 else "avx2"
    best = max(samples, default=None)
    return Ceiling(level, isa, "fp32", spec.cpu, spec.threads, kernel.bytes, "GB/s", best, samples, reason)


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


def _timed(pool: Any, kernel: Kernel, spec: TargetSpec) -> tuple[list[float], str | None]:
    """Rates in the worker; none, and the reason, where the kernel does not compile or run."""
    try:
        return pool.submit(rates, kernel, spec).result(), None
    except Exception as error:  # whatever LLVM says of an instruction is the result
        return [], f"{type(error).__name__}: {error}".splitlines()[0][:200]


def compiled(kernel: Kernel, spec: TargetSpec) -> Any:
    """Compile a ceiling kernel in this process: LLVM ends it where the target lacks an instruction."""
    return tvm.compile(tvm.IRModule({"main": kernel.function()}), target=spec.target)


def rates(kernel: Kernel, spec: TargetSpec) -> list[float]:
    """Time a kernel: billions of operations, or of bytes, a second, one value a sample."""
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

    passes = 1
    while (elapsed := seconds(passes)) < _SAMPLE_S:
        passes = int(passes * min(10.0, 1 + 1.2 * _SAMPLE_S / elapsed))
    return [kernel.work(passes) / seconds(passes) / 1e9 for _ in range(_SAMPLES)]
