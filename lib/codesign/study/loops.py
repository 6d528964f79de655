"""The inner loop of a compiled kernel, cut out of its assembly, with the bytes that it takes.

Of the loops that have no other inside, the one with the most multiply-adds is the inner loop; of several such, the
first.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codesign.errors import InputError
from codesign.study.assembly import LABEL, Instruction, instructions

_JUMP = re.compile(r"j\w+\s+([.\w$]+)")
#: Instructions that nothing runs after.
_LEAVES = ("jmp", "ret", "ud2", "hlt")
_MARK = b"codesign: bytes of the loop"


@dataclass(frozen=True)
class Loop:
    """A loop of a listing: the lines to show, and where they stand in the whole text, as (first, last) of each run."""

    lines: tuple[str, ...]
    runs: tuple[tuple[int, int], ...]

    @property
    def instructions(self) -> list[Instruction]:
        """Its instructions."""
        return instructions(self.lines)


@dataclass(frozen=True)
class _Block:
    """Instructions that run one after the other: the lines of the text that hold them, labels before them included."""

    lines: tuple[int, ...]
    falls_through: bool
    jump: str | None


def loops(assembly: str) -> list[Loop]:
    """Return every loop of a listing that has no other loop inside, in order.

    A loop is natural: all ways into it lead through its first block, which is jumped back to. (What merely stands
    between a label and a jump back to it may hold code that was moved out of some other loop.)
    """
    text = [line.partition("#")[0].strip() for line in assembly.splitlines()]
    blocks = _blocks(text)
    found = _natural(_successors(text, blocks))
    inner = [body for header, body in found.items() if not (body - {header}) & found.keys()]
    return [_loop(text, [blocks[at] for at in sorted(body)]) for body in sorted(inner, key=min)]


def _blocks(text: Sequence[str]) -> list[_Block]:
    """Cut the instructions of a text into blocks: before every label that something jumps to, and after every jump."""
    targets = {found[1] for line in text if (found := _JUMP.fullmatch(line))}
    blocks: list[_Block] = []
    lines: list[int] = []
    for at, line in enumerate(text):
        label = LABEL.fullmatch(line)
        if label and (label[1] in targets or not label[1].startswith(".")):
            if lines:
                blocks.append(_Block(tuple(lines), True, None))
            lines = [at]
        elif line and not label and not line.startswith("."):
            lines.append(at)
            jump = _JUMP.fullmatch(line)
            if jump or line.startswith(_LEAVES):
                blocks.append(_Block(tuple(lines), not line.startswith(_LEAVES), jump[1] if jump else None))
                lines = []
    return [*blocks, _Block(tuple(lines), False, None)] if lines else blocks


def _successors(text: Sequence[str], blocks: Sequence[_Block]) -> list[list[int]]:
    """Return where each block may go next."""
    labels = {
        found[1]: number
        for number, block in enumerate(blocks)
        for at in block.lines
        if (found := LABEL.fullmatch(text[at]))
    }
    return [
        [number + 1] * (block.falls_through and number + 1 < len(blocks))
        + ([labels[block.jump]] if block.jump in labels else [])
        for number, block in enumerate(blocks)
    ]


def _natural(successors: Sequence[Sequence[int]]) -> dict[int, set[int]]:
    """Return the natural loops of a graph, header -> body; those that share a header are one."""
    before: list[list[int]] = [[] for _ in successors]
    for at, after in enumerate(successors):
        for other in after:
            before[other].append(at)
    everything = (1 << len(successors)) - 1
    dominators = [everything if before[at] else 1 << at for at in range(len(successors))]
    changed = True
    while changed:
        changed = False
        for at, sources in enumerate(before):
            common = everything if sources else 0
            for source in sources:
                common &= dominators[source]
            if (now := common | 1 << at) != dominators[at]:
                dominators[at], changed = now, True
    bodies: dict[int, set[int]] = {}
    for at, after in enumerate(successors):
        for header in after:
            if dominators[at] >> header & 1:
                body, todo = bodies.setdefault(header, {header}), [at]
                while todo:
                    if (block := todo.pop()) not in body:
                        body.add(block)
                        todo += before[block]
    return bodies


def _loop(text: Sequence[str], blocks: Sequence[_Block]) -> Loop:
    runs: list[tuple[int, int]] = []
    for block in blocks:
        first = block.lines[0]
        if runs and all(not line or line.startswith(".") for line in text[runs[-1][1] + 1 : first]):
            first = runs.pop()[0]
        runs.append((first, block.lines[-1]))
    lines = (text[at] for block in blocks for at in block.lines)
    return Loop(tuple(line if LABEL.fullmatch(line) else str(Instruction.parse(line)) for line in lines), tuple(runs))


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
    mark = [".data", f'.ascii "{_MARK.decode()}"', f".quad {sizes}", ""]
    with tempfile.TemporaryDirectory(prefix="codesign-loop-") as scratch:
        source, built = Path(scratch) / "loop.s", Path(scratch) / "loop.o"
        source.write_text("\n".join(code + mark))
        subprocess.run([compiler, "-c", source, "-o", built], check=True, capture_output=True)
        content = built.read_bytes()
    at = content.index(_MARK) + len(_MARK)
    return int.from_bytes(content[at : at + 8], "little")
