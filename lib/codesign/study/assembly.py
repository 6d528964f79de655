"""The inner loop of a compiled kernel, cut out of its assembly and counted.

The text is LLVM's, in AT&T syntax: sources stand before the destination, and parentheses mean memory. A loop is what
lies between a label and a later jump back to it. Of the loops that have no other inside, the one with the most
multiply-adds is the inner loop; of several such, the first.
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

from codesign.errors import InputError

#: What an instruction does, as far as the ports of the processor care. A spill moves a vector to or from the stack.
ROLES = FMA, BROADCAST, LOAD, INDEX, STORE, SPILL, OTHER = (
    *("fma", "broadcast", "load"),
    *("index", "store", "spill", "other"),
)

_FMA = re.compile(r"vfn?m(add|sub)\d{3}[ps][sdh]")
_LABEL = re.compile(r"([.\w$]+):")
_OPERANDS = re.compile(r",\s*(?![^(]*\))")
_MOVES = ("mov", "vmov", "vpmov", "vextract")
#: Name memory without reading it: addresses, and hints.
_NO_ACCESS = ("lea", "prefetch", "nop")
#: Leave their last operand as it was.
_NO_RESULT = ("cmp", "test", "vucomi", "vcomi", "j", *_NO_ACCESS)
_STACK = re.compile(r"\(%rsp\b")  # the base pointer is a register like any other to LLVM
_MARK = b"codesign: bytes of the loop"


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
    def writes_memory(self) -> bool:
        """Whether its destination is memory."""
        return bool(self.operands) and _is_memory(self.operands[-1]) and not self.mnemonic.startswith(_NO_RESULT)

    @property
    def reads_memory(self) -> bool:
        """Whether it occupies a load port: a source in memory, also the destination of an addition there."""
        if self.mnemonic.startswith(_NO_ACCESS):
            return False
        stores_only = self.mnemonic.startswith(_MOVES) or (self.mnemonic.startswith("vp") and self.writes_memory)
        return any(map(_is_memory, self.operands[:-1] if stores_only else self.operands))

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
        if self.writes_memory:
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


@dataclass(frozen=True)
class Loop:
    """A loop of a listing: the lines to show, and where the first and the last of them stand in the whole text."""

    lines: tuple[str, ...]
    first: int
    last: int

    @property
    def instructions(self) -> list[Instruction]:
        """Its instructions."""
        return instructions(self.lines)


def instructions(lines: Sequence[str]) -> list[Instruction]:
    """Return the instructions among the lines of a loop, without its labels."""
    return [Instruction.parse(line) for line in lines if not _LABEL.fullmatch(line)]


def loops(assembly: str) -> list[Loop]:
    """Return every loop of a listing that has no other loop inside, in order."""
    lines = [line.partition("#")[0].strip() for line in assembly.splitlines()]
    labels = {found[1]: at for at, line in enumerate(lines) if (found := _LABEL.fullmatch(line))}
    ends: dict[int, int] = {}
    targets = set()
    for at, line in enumerate(lines):
        jump = re.fullmatch(r"j\w+\s+([.\w$]+)", line)
        if jump and jump[1] in labels:
            targets.add(jump[1])
            if labels[jump[1]] < at:
                ends[labels[jump[1]]] = at  # the last of several jumps back to one label
    inner = [
        (first, last)
        for first, last in sorted(ends.items())
        if not any(first < other and end <= last for other, end in ends.items())
    ]
    return [
        Loop(tuple(filter(None, (_shown(line, targets) for line in lines[first : last + 1]))), first, last)
        for first, last in inner
    ]


def _shown(line: str, targets: set[str]) -> str:
    """Return a line as it is listed: instructions, and labels that something jumps to."""
    if label := _LABEL.fullmatch(line):
        return line if label[1] in targets else ""
    return "" if not line or line.startswith(".") else str(Instruction.parse(line))


def inner_loop(assembly: str) -> Loop:
    """Return the inner loop of a kernel.

    Raises
    ------
    InputError
        If no loop holds a multiply-add.
    """
    found = loops(assembly)
    best = max(found, key=lambda loop: sum(each.is_fma for each in loop.instructions), default=None)
    if best is None or not any(each.is_fma for each in best.instructions):
        raise InputError("assembly", f"{len(found)} loops", "a loop that multiplies and adds")
    return best


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


def code_bytes(assembly: str, loop: Loop, compiler: str) -> int:
    """Return the bytes of machine code of a loop, as the assembler of ``compiler`` lays it out.

    Raises
    ------
    subprocess.CalledProcessError
        If it does not assemble the text.
    """
    lines = assembly.splitlines()
    lines[loop.first] = f".Lcodesign_begin:\n{lines[loop.first]}"
    lines[loop.last] += "\n.Lcodesign_end:"
    # where each line came from: LLVM writes it in a form that not every assembler reads
    code = [line for line in lines if not line.strip().startswith((".file", ".loc"))]
    mark = [".data", f'.ascii "{_MARK.decode()}"', ".quad .Lcodesign_end-.Lcodesign_begin", ""]
    with tempfile.TemporaryDirectory(prefix="codesign-loop-") as scratch:
        source, built = Path(scratch) / "loop.s", Path(scratch) / "loop.o"
        source.write_text("\n".join(code + mark))
        subprocess.run([compiler, "-c", source, "-o", built], check=True, capture_output=True)
        content = built.read_bytes()
    at = content.index(_MARK) + len(_MARK)
    return int.from_bytes(content[at : at + 8], "little")
