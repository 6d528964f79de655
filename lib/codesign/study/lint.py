"""Finds measured numbers that somebody typed: in prose a number comes from records, or it is not there.

``python -m codesign.study.lint`` reads the book's pages and the markdown cells of the notebooks.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from codesign.study.places import BOOK, NOTEBOOKS

UNITS = r"ms|us|\N{MICRO SIGN}s|\N{GREEK SMALL LETTER MU}s|GFLOP/s|\N{MULTIPLICATION SIGN}"
TYPED = re.compile(rf"\d(?:[\d.,]*\d)?\s?(?:{UNITS})(?![A-Za-z])|\d(?:\.\d+)?x(?!\w)")
CODE_SPAN = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
FENCE = re.compile(r"\s*(`{3,}|~{3,})(.*)")
CODE_DIRECTIVES = ("code", "code-block", "code-cell", "literalinclude")

Line = tuple[int, str]


def typed_numbers(lines: Iterable[Line]) -> Iterator[tuple[int, str]]:
    """Yield (line number, match) for every measured-looking number outside code."""
    for number, text in prose(lines):
        for found in TYPED.finditer(CODE_SPAN.sub(lambda span: " " * len(span[0]), text)):
            yield number, found[0]


def prose(lines: Iterable[Line]) -> Iterator[Line]:
    """Yield the lines outside code fences; a fence that holds a directive's text is prose."""
    fence = ""
    for number, text in lines:
        match = FENCE.match(text)
        if match and not fence and is_code(match[2]):
            fence = match[1]
        elif match and fence and match[1].startswith(fence) and not match[2].strip():
            fence = ""
        elif not fence:
            yield number, text


def is_code(info: str) -> bool:
    """Whether a fence with this info string holds code."""
    directive = re.match(r"\{([\w-]+)\}", info.strip())
    return directive is None or directive[1] in CODE_DIRECTIVES


def markdown_cells(text: str) -> Iterator[Line]:
    """Yield the lines of the markdown cells of a percent script."""
    markdown = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("# %%"):
            markdown = "[markdown]" in line
        elif markdown:
            yield number, line.removeprefix("#").removeprefix(" ")


def lint(path: Path) -> list[str]:
    """Return one message, ``file:line: ...``, for every typed number in a page or a notebook."""
    text = path.read_text(encoding="utf-8")
    lines = markdown_cells(text) if path.suffix == ".py" else enumerate(text.splitlines(), start=1)
    return [f"{path}:{number}: typed number {found!r}: glue it from records" for number, found in typed_numbers(lines)]


def pages() -> list[Path]:
    """Return every page of the book and every notebook, generated ones left out."""
    generated = {BOOK / name for name in ("_build", "runs", "results")}
    written = [page for page in BOOK.rglob("*.md") if generated.isdisjoint(page.parents)]
    return sorted(written) + sorted(NOTEBOOKS.glob("*.py"))


def main() -> int:
    """Print every typed number; return 1 when there is one."""
    problems = [problem for page in pages() for problem in lint(page)]
    print("\n".join(problems) or "no typed numbers")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
