"""The kernels behind the ceilings compute what they say, and waste nothing. How fast they are is not tested."""

from __future__ import annotations

import dataclasses
import functools
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign import isa, machine
from codesign.compiler import ceilings, target_spec
from codesign.compiler.ceilings import (
    EXCHANGE,
    LEVELS,
    Exchange,
    Stream,
    buffer_bytes,
    compiled,
    exchange,
    peak,
    stream,
)
from codesign.compiler.peaks import BYTES, INSTRUCTIONS, ROWS, TILE_INSTRUCTIONS, Instruction, Peak, Probe, TilePeak
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import tvm
from codesign.compiler.workers import builders, outcome, runner
from codesign.schema import KINDS
from codesign.study.ceilings import ensure_ceilings
from codesign.study.chain import open_study

EVERY = (*INSTRUCTIONS, *TILE_INSTRUCTIONS)
#: With what an instruction is timed here: float32 of every CPU with these vectors, or one flag more.
GENERIC = {"avx2": "x86-64-v3", "avx512f": "x86-64-v4", "avx512bw": "x86-64-v4", "avx_vnni": "x86-64-v3"}
GAINED = {feature: f"+{isa.FEATURES[feature]}" for feature in ("avx_vnni", "avx512_vnni", "avx512_bf16")}
GAINED |= {name: f"+amx-tile,+{isa.FEATURES[name]}" for name in ("amx_bf16", "amx_int8")}
VECTOR = re.compile(r"^\s+(?:\{vex\}\s)?([vt]\w+)\s+(.*)$")

#: Instruction -> what its loop consists of.
TIMED = {
    "avx2-fp32": {"vfmadd213ps"},
    "avx512f-fp32": {"vfmadd213ps"},
    "avx512_bf16-bf16": {"vdpbf16ps"},
    "amx_bf16-bf16": {"tdpbf16ps"},
    "avx2-int8": {"vpmaddubsw", "vpmaddwd", "vpaddd"},
    "avx512bw-int8": {"vpmaddubsw", "vpmaddwd", "vpaddd"},
    "avx_vnni-int8": {"vpdpbusd"},
    "avx512_vnni-int8": {"vpdpbusd"},
    "amx_int8-int8": {"tdpbusd"},
}

# What LLVM cannot compile ends its process: here as in the product, that is a worker's.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


def name_of(instruction: Instruction) -> str:
    return f"{instruction.isa}-{instruction.format}"


@pytest.fixture(scope="module")
def compiler() -> Iterator[Any]:
    pool = builders(1)
    yield pool
    pool.shutdown()


@pytest.fixture(scope="module")
def runners() -> Iterator[Callable[[int], Any]]:
    pools = functools.cache(runner)
    yield pools
    for threads in (1, 2):
        pools(threads).shutdown()


def computed(kernel: Probe, spec: TargetSpec) -> tuple[np.ndarray, np.ndarray]:
    """Run it where it is compiled; return what came out, and what should have."""
    if isinstance(kernel, TilePeak):
        isa.request_amx()
    inputs = kernel.example_inputs(np.random.default_rng(0))
    output = kernel.arguments()[-1]
    y = tvm.runtime.tensor(np.full(output.shape, 77, output.dtype))
    compiled(kernel, spec)["main"](*(tvm.runtime.tensor(np.ascontiguousarray(array)) for array in inputs), y)
    return y.numpy(), expected(kernel, *inputs)


def expected(kernel: Probe, count: np.ndarray, *inputs: np.ndarray) -> np.ndarray:
    """What a kernel computes, as plainly as possible."""
    match kernel:
        case Exchange():
            return np.full(kernel.arguments()[-1].shape, count[0], np.float64)
        case Stream():
            return count[0] * inputs[0].astype(np.float64).sum(axis=1)
        case TilePeak():
            a, b = factors(kernel.instruction, *inputs[1:])
            packed = 4 // (BYTES // a.shape[1])  # factors in four bytes, which belong to one column of b
            b = b.reshape(ROWS, ROWS, packed).transpose(0, 2, 1).reshape(-1, ROWS)
            return np.tile(count[0] * (a @ b), (kernel.threads, kernel.chains, 1))
    assert isinstance(kernel, Peak)
    start, a, b = inputs
    y = start.reshape(kernel.chains, -1)
    if kernel.instruction.format == "fp32" or kernel.instruction.isa in ("avx2", "avx512bw"):  # the sums are factors
        for _ in range(count[0]):
            y = y.astype(np.float64) * a + b if y.dtype != np.int32 else y + saturating(y, b)
    else:
        x, w = factors(kernel.instruction, a, b)
        y = y + count[0] * (x * w).reshape(kernel.instruction.lanes, -1).sum(axis=1)
    return np.tile(y.reshape(1, -1), (kernel.threads, 1))


def factors(instruction: Instruction, *bits: np.ndarray) -> list[np.ndarray]:
    """Packed operands as numbers; of bytes, the first are unsigned."""
    if instruction.format == "int8":
        return [each.view(kind).astype(np.float64) for each, kind in zip(bits, (np.uint8, np.int8), strict=True)]
    return [(each.view(np.uint16).astype(np.uint32) << 16).view(np.float32).astype(np.float64) for each in bits]


def saturating(sums: np.ndarray, b: np.ndarray) -> np.ndarray:
    """What ``vpmaddubsw`` and ``vpmaddwd`` make of the bytes of the sums: pairs of products are cut to 16 bits."""
    products = np.ascontiguousarray(sums).view(np.uint8).astype(np.int32) * b.view(np.int8)
    pairs = products.reshape(len(sums), -1, 2).sum(axis=2).clip(-(2**15), 2**15 - 1)
    return pairs.reshape(len(sums), -1, 2).sum(axis=2).astype(np.int32)


def assembly(kernel: Probe, spec: TargetSpec) -> list[str]:
    return compiled(kernel, spec).mod.inspect_source("asm").splitlines()


def check(kernel: Probe, spec: TargetSpec, runners: Callable[[int], Any]) -> None:
    np.testing.assert_array_equal(*runners(spec.threads).submit(computed, kernel, spec).result())


def loops(assembly: list[str]) -> list[list[tuple[str, str]]]:
    """The vector and tile instructions, with operands, of every innermost loop that has any."""
    found, label, body = [], "", list[tuple[str, str]]()
    for line in assembly:
        if line.startswith(".LBB"):
            label, body = line.partition(":")[0], []
        elif match := VECTOR.match(line):
            body.append((match[1], match[2]))
        elif re.match(rf"\s+j\w+\s+{re.escape(label)}$", line) and label and body:
            found.append(body)
            label, body = "", []  # what follows the jump is no part of the loop
    return found


def generic(instruction: Instruction) -> TargetSpec:
    """The least that has an instruction: LLVM compiles for any CPU on any."""
    mcpu = GENERIC.get(instruction.isa, "x86-64-v4")
    lanes, registers = (16, 32) if mcpu == "x86-64-v4" else (8, 16)
    gained = GAINED.get(instruction.isa)
    return TargetSpec(mcpu, lanes, registers, 1, tuple(gained.split(",")) if gained else ())


@pytest.mark.parametrize("instruction", EVERY, ids=name_of)
def test_chains_of_an_instruction_compute_their_sums(instruction: Instruction, runners: Callable[[int], Any]) -> None:
    if instruction.isa not in isa.isa_of(isa.cpu_flags()).formats[instruction.format]:
        pytest.skip(f"this CPU has no {instruction.isa}; its code is looked at in the next test")
    for threads in (1, 2) if instruction.format == "fp32" else (2,):
        spec = target_spec(threads, "avx2" if instruction.isa == "avx2" else "native")
        check(peak(instruction, threads), spec, runners)


@pytest.mark.parametrize("instruction", EVERY, ids=name_of)
def test_the_timed_loop_has_nothing_but_independent_multiply_adds(instruction: Instruction, compiler: Any) -> None:
    kernel, names = peak(instruction, 1), TIMED[name_of(instruction)]
    found = loops(compiler.submit(assembly, kernel, generic(instruction)).result())
    bodies = [body for body in found if names & dict(body).keys()]
    assert bodies
    for body in bodies:  # LLVM may unroll, and have another for what is left
        counts = Counter(name for name, _ in body)
        assert counts.keys() == names
        (times,) = set(counts.values())
        assert times % kernel.chains == 0
        assert not any("(" in operands for _, operands in body), "nothing is loaded or stored"
        sums = {operands.split(", ")[-1] for name, operands in body if name not in ("vpmaddubsw", "vpmaddwd")}
        assert len(sums) == kernel.chains


# LLVM ends the worker, and another takes seconds to start: once for vectors and once for tiles
@pytest.mark.parametrize("instruction", [INSTRUCTIONS[-1], TILE_INSTRUCTIONS[-1]], ids=name_of)
def test_an_instruction_that_the_target_lacks_is_a_reason_and_ends_no_process_of_ours(
    instruction: Instruction, compiler: Any
) -> None:
    lacking = TargetSpec("x86-64-v3" if instruction.isa.startswith("avx512") else "x86-64", 4, 16, 1)
    samples, reason = outcome(compiler.submit(ceilings.rates, peak(instruction, 1), lacking))
    assert samples is None
    assert reason


@pytest.mark.parametrize("threads", [1, 2])
def test_streams_sum_their_buffers(threads: int, runners: Callable[[int], Any]) -> None:
    spec = target_spec(threads)
    check(Stream(spec.lanes, 7, threads), spec, runners)


def test_every_add_of_a_stream_reads_memory(spec: TargetSpec) -> None:
    bodies = loops(assembly(Stream(spec.lanes, 1000, 1), spec))
    assert bodies
    for body in bodies:
        assert {name for name, _ in body} == {"vaddps"}
        assert all("(" in operands for _, operands in body)
        assert len(body) % Stream.vectors == 0


def test_what_threads_exchange_is_updated_by_each_in_turn(spec: TargetSpec, runners: Callable[[int], Any]) -> None:
    kernel = Exchange(spec.lanes, 7, 2)
    check(kernel, spec, runners)
    assert kernel.loops(3) == 6, "every part goes around three times"
    assert kernel.work(3) == 6 * kernel.bytes == 6 * 2 * 7 * spec.lanes * 4


@given(threads=st.integers(2, 9), launch=st.integers(0, 20))
def test_no_thread_updates_what_it_has_written_itself(threads: int, launch: int) -> None:
    kernel = Exchange(8, 4, threads)
    now, then = ([kernel.part(share, k) for share in range(threads)] for k in (launch + 1, launch))
    assert sorted(now) == sorted(then) == list(range(threads))
    assert all(part != before for part, before in zip(now, then, strict=True))
    assert kernel.part(0, 0) == kernel.part(0, int(kernel.loops(launch)[0])), "a call goes on where the last one ended"


def test_every_launch_of_an_exchange_is_one_parallel_loop() -> None:
    launches, shares, *_, store = Exchange(8, 4, 2).function().script().splitlines()[-5:]
    assert re.fullmatch(r" +for (\w+) in range\(loops\[0\]\):", launches)
    assert re.fullmatch(r" +for (\w+) in T\.parallel\(2\):", shares)
    assert store.strip().startswith("y[(v_1 + v) % 2, ")


def test_work_counts_two_operations_for_a_multiply_add_and_four_bytes_for_a_float() -> None:
    assert Peak(Instruction("avx512f", "fp32", "float32", 16), 2, 28).work(10) == 2 * 10 * 28 * 16 * 2
    assert Peak(INSTRUCTIONS[-1], 1, 28).work(10) == 2 * 10 * 28 * 64
    assert [TilePeak(each, 2).work(10) for each in TILE_INSTRUCTIONS] == [2 * 10 * 6 * 2 * 16**3 * k for k in (2, 4)]
    assert Stream(16, 10, 2).work(3) == 3 * 2 * 10 * 12 * 16 * 4


def test_buffers_fit_their_level_and_no_faster_one() -> None:
    info = dataclasses.replace(machine.describe(), l1d_kib=48, l2_kib=1024, l3_kib=32768, memory_gib=16.0)
    for threads in (1, 2):
        l1, l2, l3, dram = (buffer_bytes(info, level, threads) for level in LEVELS[1:])
        assert l1 < 48 * 2**10 < l2 < 2**20 < l3 <= 2**24
        assert l3 * threads < 32 * 2**20 < dram * threads < 16 * 2**30
        assert 2 * 2 * buffer_bytes(info, EXCHANGE, threads) <= 2**20
    assert buffer_bytes(dataclasses.replace(info, l3_kib=2048), "L3", 2) == 0
    assert buffer_bytes(dataclasses.replace(info, l1d_kib=0), "L1", 2) == 0


def test_kernels_have_the_sizes_of_their_buffers(spec: TargetSpec) -> None:
    info = dataclasses.replace(machine.describe(), l1d_kib=48, l2_kib=1024)
    assert exchange(info, spec).bytes == 2 * 2**18
    assert 0.99 < stream(info, "L2", spec).bytes / 2**20 <= 1
    unknown = dataclasses.replace(info, l2_kib=0)
    assert exchange(unknown, spec).bytes == stream(unknown, "L2", spec).bytes == 0


class Timed:
    """A pool in which nothing runs: float32 has a rate, and the rest fails."""

    def submit(self, function: Any, probe: Probe, spec: TargetSpec) -> Timed:
        self.works = isinstance(probe, Peak) and probe.instruction.format == "fp32"
        return self

    def result(self) -> list[float]:
        if not self.works:
            raise ValueError("no such thing")
        return [4.0, 5.0]


def test_ceilings_are_measured_once_and_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    monkeypatch.setattr(ceilings, "runner", lambda threads: Timed())
    study = open_study("local", "quick")
    first = ensure_ceilings(study)
    assert ensure_ceilings(study) == first
    kinds = {(record["threads"], record["level"], record["isa"], record["format"]) for record in first}
    assert len(study.results.read("ceiling")) == len(first) == len(kinds) > len(INSTRUCTIONS)
    for record in first:
        works = record["level"] == "registers" and record["format"] == "fp32" and not record["reason"]
        assert (record["rate"], record["samples"]) == ((5.0, [4.0, 5.0]) if works else (None, []))
    assert first[0].keys() >= KINDS["ceiling"].model_fields.keys()
