"""The lint that refuses typed measurements."""

from pathlib import Path

import pytest

from codesign.study import lint


def found(text: str) -> list[str]:
    return [match for _, match in lint.typed_numbers(enumerate(text.splitlines(), start=1))]


@pytest.mark.parametrize(
    "text",
    [
        "31.2 ms",
        "31ms",
        "98 us",
        "64 µs",
        "450 GFLOP/s",
        "4.1 \N{MULTIPLICATION SIGN}",
        "1.35\N{MULTIPLICATION SIGN}",
        "4x faster",
        "2.2x",
        "24,366 ms",
    ],
)
def test_a_typed_measurement_is_found(text: str) -> None:
    assert found(f"It takes {text}, they say.")


@pytest.mark.parametrize(
    "text",
    [
        "32x1 blocks",
        "a 768x768 matrix",
        "80%",
        "15 minutes",
        "`31.2 ms`",
        "``4x``",
        "{num}`a.b` ms",
        "version 0.1.2",
        "2 msgs",
        "x86",
    ],
)
def test_shapes_code_and_other_numbers_pass(text: str) -> None:
    assert not found(f"It is {text} here.")


def test_code_is_skipped_and_the_text_of_directives_is_not() -> None:
    assert not found("```bash\nsleep 3 ms\n```")
    assert not found("```{code-block} text\n3 ms\n```")
    assert found("```{judged} a=supported\n3 ms\n```") == ["3 ms"]
    assert found(":::{note}\n3 ms\n:::") == ["3 ms"]
    assert found("````\n```\n1 ms\n````\n2 ms") == ["2 ms"]


def test_only_markdown_cells_of_a_notebook_count(tmp_path: Path) -> None:
    notebook = tmp_path / "01.py"
    notebook.write_text("# %% [markdown]\n# It takes 3 ms.\n\n# %%\nx = 1  # 4 ms\n")
    assert lint.lint(notebook) == [f"{notebook}:2: typed number '3 ms': glue it from records"]


def test_the_project_has_no_typed_numbers() -> None:
    assert lint.pages()
    assert [problem for page in lint.pages() for problem in lint.lint(page)] == []
