"""What the instructions of a compiled kernel do, read from its assembly and counted.

The text is LLVM's, in AT&T syntax: sources stand before the destination, and parentheses mean memory.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

#: What an instruction does, as far as the ports of the processor care. A spill moves a vector to or from the stack.
ROLES = FMA, BROADCAST, LOAD, INDEX, STORE, SPILL, OTHER = (
    *("fma", "broadcast", "load"),
    *("index", "store", "spill", "other"),
)

_FMA = re.compile(r"vfn?m(add|sub)\d{3}[ps][sdh]")
LABEL = re.compile(r"([.\w$]+):")
_OPERANDS = re.compile(r",\s*(?![^(]*\))")
_MOVES = ("mov", "vmov", "vpmov", "vextract")
#: Name memory without reading it: addresses, and hints.
_NO_ACCESS = ("lea", "prefetch", "nop")
#: Leave their last operand as it was.
_NO_RESULT = ("cmp", "test", "vucomi", "vcomi", "j", *_NO_ACCESS)
_STACK = re.compile(r"\(%rsp\b")  # the base pointer is a register like any other to LLVM


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
