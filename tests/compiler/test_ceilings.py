"""The kernels behind the ceilings compute what they say, and waste nothing. How fast they are is not tested."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign import machine
from codesign.compiler import ceilings, target_spec
from codesign.compiler.ceiling_kernels import INSTRUCTIONS, Exchange, Instruction, Peak, Stream
from codesign.compiler.ceilings import EXCHANGE, LEVELS, Ceiling, buffer_bytes, compiled, exchange, stream
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import tvm
from codesign.records import Results
from codesign.schema import KINDS
from codesign.study.ceilings import ceilings_of, ensure_ceilings
from codesign.study.chain import open_study

HERE = [instruction for instruction in INSTRUCTIONS if instruction.isa in machine.describe().isa]
VECTOR = re.compile(r"^\s+(v\w+)\s+(.*)$")


def check(kernel: Exchange | Peak | Stream, spec: TargetSpec) -> None:
    inputs = kernel.example_inputs(np.random.default_rng(0))
    output = kernel.arguments()[-1]
    y = tvm.runtime.tensor(np.full(output.shape, 77, output.dtype))
    compiled(kernel, spec)["main"](*(tvm.runtime.tensor(np.ascontiguousarray(array)) for array in inputs), y)
    np.testing.assert_array_equal(y.numpy(), kernel.oracle(*inputs))


def loops(kernel: Peak | Stream, spec: TargetSpec) -> list[list[tuple[str, str]]]:
    """The vector instructions, with operands, of every innermost loop that has any."""
    assembly = compiled(kernel, spec).mod.inspect_source("asm").splitlines()
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


def spec_of(instruction: Instruction, threads: int) -> TargetSpec:
    return target_spec(threads, "avx2" if instruction.isa == "avx2" else "native")


def compiled_for(instruction: Instruction) -> list[str]:
    """CPUs that have an instruction. LLVM compiles for any of them on any, and unrolls and places loops by its name."""
    match instruction.isa:
        case "avx2":
            return ["x86-64-v3", "znver1", "haswell"]
        case "avx512f":
            return ["x86-64-v4", "cascadelake", "sapphirerapids", "znver4"]
        case "avx512_vnni":
            return ["cascadelake", "sapphirerapids", "znver4"]
        case _:
            return ["sapphirerapids", "znver4"]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("instruction", HERE, ids=lambda instruction: instruction.isa)
def test_chains_of_an_instruction_compute_their_sums(instruction: Instruction, threads: int) -> None:
    check(Peak(instruction, 5, threads), spec_of(instruction, threads))


@pytest.mark.parametrize(
    ("instruction", "mcpu"),
    [pytest.param(each, mcpu, id=f"{each.isa}-{mcpu}") for each in INSTRUCTIONS for mcpu in compiled_for(each)],
)
def test_the_timed_loop_has_nothing_but_independent_multiply_adds(instruction: Instruction, mcpu: str) -> None:
    wide = instruction.isa != "avx2"
    spec = TargetSpec(mcpu, 16 if wide else 8, 32 if wide else 16, 1)
    chains = spec.registers - 4
    (body,) = (body for body in loops(Peak(instruction, chains, 1), spec) if len(body) >= chains)
    (name,) = {name for name, _ in body}
    assert name.startswith(("vfmadd", "vdpbf16ps", "vpdpbusd"))
    assert len(body) % chains == 0
    assert not any("(" in operands for _, operands in body), "nothing is loaded or stored"
    assert len({operands.rpartition(" ")[2] for _, operands in body}) == chains


@pytest.mark.parametrize("threads", [1, 2])
def test_streams_sum_their_buffers(threads: int) -> None:
    spec = target_spec(threads)
    check(Stream(spec.lanes, 7, threads), spec)


def test_every_add_of_a_stream_reads_memory(spec: TargetSpec) -> None:
    bodies = loops(Stream(spec.lanes, 1000, 1), spec)
    assert bodies
    for body in bodies:
        assert {name for name, _ in body} == {"vaddps"}
        assert all("(" in operands for _, operands in body)
        assert len(body) % Stream.vectors == 0


def test_what_threads_exchange_is_updated_by_each_in_turn(spec: TargetSpec) -> None:
    kernel = Exchange(spec.lanes, 7, 2)
    check(kernel, spec)
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
    assert Peak(Instruction("avx512f", "float32", "float32", 16), 28, 2).work(10) == 2 * 10 * 28 * 16 * 2
    assert Peak(INSTRUCTIONS[-1], 28, 1).work(10) == 2 * 10 * 28 * 64
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


def made_up(instruction: Instruction) -> Ceiling:
    best = 5.0 if instruction.dtype == "float32" else None
    reason = None if best else "this CPU has no such thing"
    samples = [4.0, 5.0] if best else []
    return Ceiling("registers", instruction.isa, instruction.dtype, "cpu", 1, 0, "GFLOP/s", best, samples, reason)


def test_ceilings_are_measured_once_and_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    monkeypatch.setattr(ceilings, "measure", lambda: map(made_up, INSTRUCTIONS))
    study = open_study("local", "smoke")
    first = ensure_ceilings(study)
    assert ensure_ceilings(study) == first
    assert len(study.results.read("ceiling")) == len(INSTRUCTIONS)
    assert [record["rate"] for record in first] == [5.0, 5.0, None, None]
    assert first[0].keys() >= KINDS["ceiling"].fields.keys()
    assert ceilings_of(Results("local", tmp_path / "results"), "another") == []


def test_a_kernel_that_cannot_be_compiled_is_a_reason_and_no_crash() -> None:
    class Broken:
        def submit(self, *_: object) -> None:
            raise ValueError("no such instruction\nin detail")

    rate, reason = ceilings._timed(Broken(), Stream(16, 1, 1), target_spec(1))
    assert (rate, reason) == ([], "ValueError: no such instruction")
