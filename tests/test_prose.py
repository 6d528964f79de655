"""Finds measured numbers that somebody typed: in prose a number comes from records, or it is not there.

The prose is that of the book's pages and of the markdown cells of the notebooks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GENERATED = {ROOT / "book" / name for name in ("_build", "runs", "results")}

UNITS = r"ms|us|\N{MICRO SIGN}s|\N{GREEK SMALL LETTER MU}s|GFLOP/s|\N{MULTIPLICATION SIGN}"
TYPED = re.compile(rf"\d(?:[\d.,]*\d)?\s?(?:{UNITS})(?![A-Za-z])|\d(?:\.\d+)?x(?!\w)")
CODE_SPAN = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
FENCE = re.compile(r"\s*(`{3,}|~{3,})(.*)")
#: Another directive than these holds prose.
CODE = re.compile(r"(?!\{)|\{(code|code-block|code-cell|literalinclude)\}")


def typed_numbers(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield (line number, match) for every measured-looking number outside code fences and code spans."""
    fence = ""
    for number, text in enumerate(lines, start=1):
        match = FENCE.match(text)
        if match and not fence and CODE.match(match[2].strip()):
            fence = match[1]
        elif match and fence and match[1].startswith(fence) and not match[2].strip():
            fence = ""
        elif not fence:
            yield from ((number, found[0]) for found in TYPED.finditer(CODE_SPAN.sub(" ", text)))


def markdown_cells(text: str) -> Iterator[str]:
    """Yield the lines of a percent script, empty ones in place of those outside markdown cells."""
    markdown = False
    for line in text.splitlines():
        if line.startswith("# %%"):
            markdown = "[markdown]" in line
        yield line.removeprefix("#").removeprefix(" ") if markdown else ""


def lint(path: Path) -> list[str]:
    """Return one message, ``file:line: ...``, for every typed number in a page or a notebook."""
    text = path.read_text(encoding="utf-8")
    lines = markdown_cells(text) if path.suffix == ".py" else text.splitlines()
    return [f"{path}:{number}: typed number {found!r}: glue it from records" for number, found in typed_numbers(lines)]


def test_the_project_has_no_typed_numbers() -> None:
    pages = [page for page in (ROOT / "book").rglob("*.md") if GENERATED.isdisjoint(page.parents)]
    notebooks = list((ROOT / "notebooks").glob("*.py"))
    assert pages
    assert notebooks
    if problems := [problem for page in sorted(pages) + sorted(notebooks) for problem in lint(page)]:
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.mark.parametrize(
    "text",
    [
        *("31.2 ms", "31ms", "98 us", "64 µs", "450 GFLOP/s", "24,366 ms", "4x faster", "2.2x"),
        *("4.1 \N{MULTIPLICATION SIGN}", "1.35\N{MULTIPLICATION SIGN}"),
    ],
)
def test_a_typed_measurement_is_found(text: str) -> None:
    assert list(typed_numbers([f"It takes {text}, they say."]))


@pytest.mark.parametrize(
    "text",
    [
        *("32x1 blocks", "a 768x768 matrix", "80%", "15 minutes", "`31.2 ms`", "``4x``", "{num}`a.b` ms"),
        *("version 0.1.2", "2 msgs", "x86"),
    ],
)
def test_shapes_code_and_other_numbers_pass(text: str) -> None:
    assert not list(typed_numbers([f"It is {text} here."]))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("```bash\nsleep 3 ms\n```", []),
        ("```{code-block} text\n3 ms\n```", []),
        ("```{judged} a=supported\n3 ms\n```", [(2, "3 ms")]),
        (":::{note}\n3 ms\n:::", [(2, "3 ms")]),
        ("````\n```\n1 ms\n````\n2 ms", [(5, "2 ms")]),
    ],
)
def test_code_is_skipped_and_the_text_of_directives_is_not(text: str, found: list[tuple[int, str]]) -> None:
    assert list(typed_numbers(text.splitlines())) == found


def test_only_markdown_cells_of_a_notebook_count(tmp_path: Path) -> None:
    notebook = tmp_path / "01.py"
    notebook.write_text("# %% [markdown]\n# It takes 3 ms.\n\n# %%\nx = 1  # 4 ms\n")
    assert lint(notebook) == [f"{notebook}:2: typed number '3 ms': glue it from records"]
