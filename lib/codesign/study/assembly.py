"""The inner loop of a compiled kernel, cut out of its assembly: what its instructions do, counted, and its bytes.

The text is LLVM's, in AT&T syntax: sources stand before the destination, and parentheses mean memory. Of the loops that
have no other inside, the one with the most multiply-adds is the inner loop; of several such, the first.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from codesign.errors import InputError

#: What an instruction does, as far as the ports of the processor care. A spill moves a vector to or from the stack.
ROLES = ("fma", "broadcast", "load", "index", "store", "spill", "other")
FMA, BROADCAST, LOAD, INDEX, STORE, SPILL, OTHER = ROLES

LABEL = re.compile(r"([.\w$]+):")
_FMA = re.compile(r"vfn?m(add|sub)\d{3}[ps][sdh]")
_OPERANDS = re.compile(r",\s*(?![^(]*\))")
_MOVES = ("mov", "vmov", "vpmov", "vextract")
#: Name memory without reading it: addresses, and hints.
_NO_ACCESS = ("lea", "prefetch", "nop")
#: Leave their last operand as it was.
_NO_RESULT = ("cmp", "test", "vucomi", "vcomi", "j", *_NO_ACCESS)
_STACK = re.compile(r"\(%rsp\b")  # the base pointer is a register like any other to LLVM
_JUMP = re.compile(r"j\w+\s+([.\w$]+)")
#: Instructions that nothing runs after.
_LEAVES = ("jmp", "ret", "ud2", "hlt")
_MARK = "codesign: bytes of the loop"


@dataclass(frozen=True)
class Instruction:
    """One line of a listing that is not a label."""

    mnemonic: str
    operands: tuple[str, ...]

    @classmethod
    def parse(cls, line: str) -> Instruction:
        """Read one line."""
        mnemonic, _, rest = line.strip().replace("\t", " ").partition(" ")
        return cls(mnemonic, tuple(_OPERANDS.split(rest.strip())) if rest.strip() else ())

    def __str__(self) -> str:
        return f"{self.mnemonic:<13}{', '.join(self.operands)}".rstrip()

    @property
    def is_fma(self) -> bool:
        """Whether it multiplies and adds vectors (or scalars) of floats."""
        return _FMA.fullmatch(self.mnemonic) is not None

    @property
    def reads_memory(self) -> bool:
        """Whether it occupies a load port: a source in memory, also the destination of an addition there."""
        if self.mnemonic.startswith(_NO_ACCESS):
            return False
        sources = self.operands[:-1] if self.mnemonic.startswith(_MOVES) else self.operands
        return any(map(_is_memory, sources))

    @cached_property
    def role(self) -> str:
        """One of `ROLES`."""
        if self.is_fma:
            return FMA
        memory = [operand for operand in self.operands if _is_memory(operand)]
        vector = any(re.match(r"%[xyz]mm", operand) for operand in self.operands)
        if vector and memory and self.mnemonic.startswith(_MOVES) and _STACK.search(memory[0]):
            return SPILL
        if self.mnemonic.startswith("vbroadcast") and self.reads_memory:
            return BROADCAST
        if memory and memory[-1] == self.operands[-1] and not self.mnemonic.startswith(_NO_RESULT):
            return STORE
        if self.reads_memory:
            return LOAD if vector else INDEX
        return OTHER

    @property
    def destination(self) -> str | None:
        """The register that it writes, without its width; None where it writes none."""
        if not self.operands or self.mnemonic.startswith(_NO_RESULT):
            return None
        found = re.match(r"%(\w+)", self.operands[-1])
        return re.sub(r"^[xyz]mm", "mm", found[1]) if found else None


def _is_memory(operand: str) -> bool:
    return "(" in operand


def instructions(lines: Sequence[str]) -> list[Instruction]:
    """Return the instructions among the lines of a loop, without its labels."""
    return [Instruction.parse(line) for line in lines if not LABEL.fullmatch(line)]


def count(lines: Sequence[str]) -> dict[str, int]:
    """Count one pass of a loop.

    Returns
    -------
    dict[str, int]
        A number for each of `ROLES`, where ``load`` has the vectors that multiply-adds read from memory themselves,
        too; ``instructions``; ``reads``, which occupy a load port; ``accumulators``, the registers that multiply-adds
        add to; and ``chain``, the most of them in a row that wait for each other.
    """
    found = instructions(lines)
    roles = Counter(each.role for each in found)
    counts = {role: roles[role] for role in ROLES}
    counts[LOAD] += sum(each.is_fma and each.reads_memory for each in found)
    runs: Counter[str] = Counter()
    chain = 0
    for each in found:
        if each.destination is None:
            continue
        runs[each.destination] = runs[each.destination] + 1 if each.is_fma else 0
        chain = max(chain, runs[each.destination])
    return counts | {
        "instructions": len(found),
        "reads": sum(each.reads_memory for each in found),
        "accumulators": len({each.destination for each in found if each.is_fma}),
        "chain": chain,
    }


@dataclass(frozen=True)
class Loop:
    """A loop of a listing: the lines to show, and where they stand in the whole text, as (first, last) of each run."""

    lines: tuple[str, ...]
    runs: tuple[tuple[int, int], ...]


def inner_loop(assembly: str) -> Loop:
    """Return the inner loop of a kernel.

    Raises
    ------
    InputError
        If no loop holds a multiply-add.
    """
    found = loops(assembly)
    fmas = [sum(each.is_fma for each in instructions(loop.lines)) for loop in found]
    if not any(fmas):
        raise InputError("assembly", f"{len(found)} loops", "a loop that multiplies and adds")
    return found[fmas.index(max(fmas))]


def loops(assembly: str) -> list[Loop]:
    """Return every loop of a listing that has no other loop inside, in order.

    (What merely stands between a label and a jump back to it may hold code that was moved out of some other loop.)
    """
    text = [line.partition("#")[0].strip() for line in assembly.splitlines()]
    blocks = _blocks(text)
    bodies = _innermost(_edges(text, blocks), np.arange(len(blocks)))
    return [_loop(text, [blocks[at] for at in body]) for body in sorted(bodies)]


def _blocks(text: Sequence[str]) -> list[list[int]]:
    """Cut the lines with instructions into blocks: before every label that something jumps to, and after every jump.

    Labels belong to the block that they begin.
    """
    targets = {found[1] for line in text if (found := _JUMP.fullmatch(line))}
    blocks: list[list[int]] = [[]]
    for at, line in enumerate(text):
        label = LABEL.fullmatch(line)
        if label and (label[1] in targets or not label[1].startswith(".")):
            blocks.append([at])
        elif line and not label and not line.startswith("."):
            blocks[-1].append(at)
            if _JUMP.fullmatch(line) or line.startswith(_LEAVES):
                blocks.append([])
    return [block for block in blocks if block]


def _edges(text: Sequence[str], blocks: Sequence[Sequence[int]]) -> np.ndarray:
    """Return which blocks may follow which, bool[blocks, blocks]."""
    labels = {text[block[0]].removesuffix(":"): number for number, block in enumerate(blocks)}
    edges = np.zeros((len(blocks), len(blocks)), bool)
    for number, last in enumerate(text[block[-1]] for block in blocks):
        if number + 1 < len(blocks) and not last.startswith(_LEAVES):
            edges[number, number + 1] = True
        if (jump := _JUMP.fullmatch(last)) and jump[1] in labels:
            edges[number, labels[jump[1]]] = True
    return edges


def _innermost(edges: np.ndarray, nodes: np.ndarray) -> list[list[int]]:
    """Return the loops among some blocks that hold no other loop.

    Blocks of a loop reach each other. One comes in through its first; what is still a loop without that lies inside.
    """
    from scipy.sparse.csgraph import connected_components  # pages that show a loop do not look for it

    found: list[list[int]] = []
    count, part = connected_components(edges[np.ix_(nodes, nodes)], connection="strong")
    for body in (nodes[part == number] for number in range(count)):
        if len(body) > 1 or edges[body[0], body[0]]:
            entered = np.delete(edges[:, body], body, axis=0).any(axis=0)
            found += _innermost(edges, body[body != body[entered.argmax()]]) or [body.tolist()]
    return found


def _loop(text: Sequence[str], blocks: Sequence[Sequence[int]]) -> Loop:
    runs: list[tuple[int, int]] = []
    for block in blocks:
        first = block[0]
        if runs and all(not line or line.startswith(".") for line in text[runs[-1][1] + 1 : first]):
            first = runs.pop()[0]
        runs.append((first, block[-1]))
    lines = (text[at] for block in blocks for at in block)
    return Loop(tuple(line if LABEL.fullmatch(line) else str(Instruction.parse(line)) for line in lines), tuple(runs))


def code_bytes(assembly: str, loop: Loop, compiler: str) -> int:
    """Return the bytes of machine code of a loop, as the assembler of ``compiler`` lays it out.

    Raises
    ------
    subprocess.CalledProcessError
        If it does not assemble the text.
    """
    lines = assembly.splitlines()
    for number, (first, last) in enumerate(loop.runs):
        lines[first] = f".Lcodesign_begin{number}:\n{lines[first]}"
        lines[last] += f"\n.Lcodesign_end{number}:"
    sizes = "+".join(f"(.Lcodesign_end{number}-.Lcodesign_begin{number})" for number in range(len(loop.runs)))
    # where each line came from: LLVM writes it in a form that not every assembler reads
    code = [line for line in lines if not line.strip().startswith((".file", ".loc"))]
    mark = [".data", f'.ascii "{_MARK}"', f".quad {sizes}", ""]
    with tempfile.TemporaryDirectory(prefix="codesign-loop-") as scratch:
        source, built = Path(scratch) / "loop.s", Path(scratch) / "loop.o"
        source.write_text("\n".join(code + mark))
        subprocess.run([compiler, "-c", source, "-o", built], check=True, capture_output=True)
        content = built.read_bytes()
    at = content.index(_MARK.encode()) + len(_MARK)
    return int.from_bytes(content[at : at + 8], "little")
