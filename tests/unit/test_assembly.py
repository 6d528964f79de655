"""Reading assembly: what an instruction does, where the inner loop is, and how many bytes it takes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import LOOP, LOOP_COUNTS

from codesign.errors import InputError
from codesign.study.assembly import Instruction, code_bytes, count, inner_loop, loops

#: A loop in a loop, with directives between; a loop without FMAs; and out of the way, code that the outer one owns.
NESTED = """
	.text
	.globl	main
main:
.Lfunc_begin0:
	.loc	1 0 0
	pushq	%rbp
.LBB0_1:
	testl	%eax, %eax
	jle	.LBB0_9
	.p2align	4
.LBB0_2:                                # a comment: jne .LBB0_1
.Ltmp3:
	vmovups	(%rdi,%rcx), %ymm1
	vfmadd231ps	32(%rdi,%rcx), %ymm0, %ymm2
	vfmadd213ps	%ymm1, %ymm0, %ymm3
	addq	$64, %rcx
	cmpq	%rsi, %rcx
	jne	.LBB0_2
.LBB0_4:
	vmovups	%ymm2, (%rdx)
	decq	%rax
	jne	.LBB0_1
.LBB0_5:
	vaddps	(%rdi,%rcx), %ymm2, %ymm2
	decq	%rcx
	jne	.LBB0_5
	popq	%rbp
	retq
.LBB0_9:
	vfmadd231ps	%ymm1, %ymm0, %ymm4
	vfmadd231ps	%ymm1, %ymm0, %ymm5
	vfmadd231ps	%ymm1, %ymm0, %ymm6
	xorl	%ecx, %ecx
	jmp	.LBB0_2
"""


@pytest.mark.parametrize(
    ("line", "role", "reads"),
    [
        ("vfmadd231ps\t%zmm17, %zmm16, %zmm15", "fma", False),
        ("vfmadd231ps\t(%r9,%r8,4){1to16}, %zmm8, %zmm0", "fma", True),
        ("vfnmadd132pd (%rax), %ymm1, %ymm2", "fma", True),
        ("vfmadd231ss %xmm0, %xmm1, %xmm2", "fma", False),
        ("vbroadcastss 4(%rdx,%r12,4), %zmm19", "broadcast", True),
        ("vbroadcastss %xmm1, %zmm19", "other", False),
        ("vmovaps 64(%r9,%rsi,4), %zmm18", "load", True),
        ("vaddps .LCPI0_0(%rip), %ymm1, %ymm2", "load", True),
        ("vmovups 64(%rsp), %zmm29", "spill", True),
        ("vmovups %zmm29, (%rsp)", "spill", False),
        ("vmovaps (%rbp,%rax), %ymm1", "load", True),  # to LLVM the base pointer is a register like any other
        ("vmovaps %zmm0, 960(%r11,%rdx,4)", "store", False),
        ("movslq (%r10,%r13,4), %rsi", "index", True),
        ("movl -124(%rsp), %eax", "index", True),
        ("addl -84(%rsp), %eax", "index", True),
        ("incl (%rax)", "store", True),
        ("cmpq -24(%rsp), %rbp", "index", True),
        ("leaq (%r8,%rax,4), %rdx", "other", False),
        ("prefetcht0 (%r8,%rsi,4)", "other", False),
        ("vxorps %xmm1, %xmm1, %xmm1", "other", False),
        ("cltq", "other", False),
    ],
)
def test_an_instruction_is_told_by_what_it_does(line: str, role: str, reads: bool) -> None:
    found = Instruction.parse(line)
    assert (found.role, found.reads_memory) == (role, reads)
    assert str(found).split() == line.replace("\t", " ").split()


def test_a_loop_is_counted_as_by_hand() -> None:
    assert count(LOOP) == LOOP_COUNTS


def test_sums_that_wait_for_each_other_are_a_chain_until_one_is_overwritten() -> None:
    fma = "vfmadd231ps %ymm0, %ymm1, %ymm2"
    assert count([fma, fma, fma])["chain"] == 3
    assert count([fma, fma, "vmovups (%rsp), %ymm2", fma])["chain"] == 2
    assert count([fma, "cmpq %rax, %ymm2", fma])["chain"] == 2  # a comparison writes nothing
    assert count([fma, "vfmadd231ps %ymm0, %ymm1, %ymm3"])["chain"] == 1


def test_the_inner_loop_is_the_one_with_most_multiply_adds_and_no_other_inside() -> None:
    assert [loop.lines[0] for loop in loops(NESTED)] == [".LBB0_2:", ".LBB0_5:"]
    loop = inner_loop(NESTED)
    assert [line.split()[0] for line in loop.lines] == [
        *(".LBB0_2:", "vmovups", "vfmadd231ps", "vfmadd213ps"),
        *("addq", "cmpq", "jne"),
    ]
    counts = count(loop.lines)
    assert (counts["fma"], counts["load"], counts["reads"], counts["accumulators"]) == (2, 2, 2, 2)


def test_of_equal_loops_the_first_counts() -> None:
    again = NESTED.replace("LBB0_", "LBB1_").replace("main", "other").replace("%ymm3", "%ymm9")
    assert inner_loop(NESTED + again) == inner_loop(NESTED)


#: What the first block jumps to and back from lies after the end of the function.
PIECES = (
    "f:\n.LA:\ndecq %rax\njne .LB\n.LC:\ndecq %rcx\njne .LA\nretq\n.LB:\nvfmadd231ps %ymm0, %ymm1, %ymm2\njmp .LC\n"
)


def test_a_loop_in_pieces_is_found_whole() -> None:
    loop = inner_loop(PIECES)
    assert [line.split()[0] for line in loop.lines] == [
        *(".LA:", "decq", "jne", ".LC:", "decq", "jne"),
        *(".LB:", "vfmadd231ps", "jmp"),
    ]
    assert len(loop.runs) == 2


@pytest.mark.parametrize(
    "text", ["", "f:\nretq", "f:\n.LA:\nincq %rax\njne .LA\nretq", "vfmadd231ps %ymm0, %ymm1, %ymm2"]
)
def test_code_without_such_a_loop_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="a loop that multiplies and adds"):
        inner_loop(text)


@pytest.mark.skipif(shutil.which("c++") is None, reason="no assembler")
def test_bytes_are_those_of_the_machine_code() -> None:
    # 5 bytes of VEX, 3 for a 64-bit decrement, 2 for a short jump
    text = "f:\n.LA:\nvfmadd231ps %ymm0, %ymm1, %ymm2\ndecq %rax\njne .LA\nretq\n"
    assert code_bytes(text, inner_loop(text), "c++") == 10
    assert code_bytes(PIECES, inner_loop(PIECES), "c++") == 5 + 5 + 5 + 2
