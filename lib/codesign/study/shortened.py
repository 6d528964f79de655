"""TensorIR cut down to what a reader needs, by one rule for all of it.

Of neighbouring statements that use the same names in the same order, the first is kept and the others are counted:
a register tile is written out register by register, and its statements differ in numbers alone. An index inside an
index is left out where it is long, so are attributes and what makes a line too long, and every argument of a function
gets a line of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

#: Longest line that is shown whole.
WIDTH = 160
#: Longest index inside an index that is written out.
_INDEX = 10
_NESTED = 2
_SAME = 3  # statements in a row that are worth a sentence
_ATTRIBUTES = ("T.func_attr", "T.sblock_attr", "T.reads", "T.writes")


@dataclass(frozen=True)
class _Statement:
    """A line and the statements indented below it."""

    line: str
    inside: tuple[_Statement, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names in order, without the numbers that tell registers and loops apart."""
        mine = (re.sub(r"_?\d+$", "", name) for name in re.findall(r"[A-Za-z_]\w*", self.line))
        return (*mine, *(name for statement in self.inside for name in ("/", *statement.names)))

    @property
    def depth(self) -> int:
        return len(self.line) - len(self.line.lstrip())


def shorten(script: str) -> str:
    """Return a shorter form of a TensorIR script."""
    lines = [line for line in script.splitlines() if line.strip() and not line.lstrip().startswith(("#", *_ATTRIBUTES))]
    return "\n".join(_written(_statements(lines)))


def _statements(lines: Sequence[str]) -> tuple[_Statement, ...]:
    found: list[_Statement] = []
    at = 0
    while at < len(lines):
        depth = len(lines[at]) - len(lines[at].lstrip())
        end = at + 1
        while end < len(lines) and len(lines[end]) - len(lines[end].lstrip()) > depth:
            end += 1
        found.append(_Statement(lines[at], _statements(lines[at + 1 : end])))
        at = end
    return tuple(found)


def _written(statements: Sequence[_Statement]) -> Iterator[str]:
    at = 0
    while at < len(statements):
        first = statements[at]
        same = 1
        while at + same < len(statements) and statements[at + same].names == first.names:
            same += 1
        kept = 1 if same >= _SAME else same
        for statement in statements[at : at + kept]:
            yield from _fitted(statement.line)
            yield from _written(statement.inside)
        if kept < same:
            yield f"{' ' * first.depth}# and {same - kept} more like this"
        at += same


def _fitted(line: str) -> Iterator[str]:
    """Break a signature at its arguments; cut any other line that is too long."""
    if line.lstrip().startswith("def "):
        head, *rest = re.split(r"(?<=\()(?=\w+: )|(?<=\), )(?=\w+: )", line)
        yield head.rstrip()
        yield from (f"    {each.rstrip()}" for each in rest)
    else:
        line = _without_long_indices(line)
        yield line if len(line) <= WIDTH else f"{line[: WIDTH - 4]} ..."


def _without_long_indices(line: str) -> str:
    """Put an ellipsis in the place of what stands in brackets inside brackets, where it is long."""
    depth, kept, inside = 0, "", ""
    for letter in line:
        if letter == "]":
            if depth == _NESTED:
                kept, inside = kept + (inside if len(inside) <= _INDEX else "..."), ""
            depth -= 1
        if depth >= _NESTED:
            inside += letter
        else:
            kept += letter
        if letter == "[":
            depth += 1
    return kept
