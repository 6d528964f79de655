"""Text: sentences and tasks, what they draw, that nothing leaks, and the format of local files."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.corpus import docstrings, task
from codesign.corpus.docstrings import (
    SHINGLE,
    STANDARD_LIBRARY,
    draw,
    paragraphs,
    passages,
    root_of,
    sentences,
    split,
)
from codesign.corpus.task import load_task
from codesign.errors import InputError

ROOT = Path(__file__).parents[2]


def sentence(number: int) -> str:
    """A different sentence for each number; no two share `SHINGLE` words in a row."""
    word = "".join(chr(ord("a") + int(digit)) for digit in f"{number:04d}")
    return f"This computes the {word} of every column unless some {word} was given with the table before it."


def write(root: Path, module: str, *texts: str) -> None:
    path = root / module
    path.parent.mkdir(parents=True, exist_ok=True)
    functions = [f'def f{n}():\n    """Short.\n\n    {text}\n    """\n' for n, text in enumerate(texts)]
    path.write_text("raise RuntimeError('nothing is imported')\n" + "\n".join(functions))


@pytest.fixture
def roots(tmp_path: Path) -> dict[str, Path]:
    """Two libraries of forty modules with five passages each."""
    found = {"one": tmp_path / "one", "two": tmp_path / "two"}
    for index, root in enumerate(found.values()):
        for module in range(40):
            first = 5000 * index + 5 * module
            write(root, f"part{module % 4}/m{module}.py", *(sentence(first + i) for i in range(5)))
    return found


def test_sentences_are_distinct_prose_and_a_longer_draw_starts_with_the_shorter_one() -> None:
    drawn = sentences(500)
    assert drawn[:5] == sentences(5)
    assert len(set(drawn)) == 500
    assert all(sentence[0].isupper() and sentence[-1] in ".?!" and len(sentence.split()) > 8 for sentence in drawn)
    assert not any("`" in sentence or ">>>" in sentence or "  " in sentence for sentence in drawn)


@pytest.mark.parametrize("count", [0, 10**6])
def test_a_count_out_of_range_is_refused(count: int) -> None:
    with pytest.raises(InputError, match=r"expected 1 to \d+; did you mean \d+"):
        sentences(count)


def test_passages_name_where_they_come_from(roots: dict[str, Path]) -> None:
    found = passages(roots)
    assert len(found) == len({passage.text for passage in found}) == 400
    assert {passage.library for passage in found} == {"one", "two"}
    assert {passage.module for passage in found} == {f"part{m % 4}/m{m}.py" for m in range(40)}


def test_what_two_libraries_share_belongs_to_neither_and_repetitions_count_once(roots: dict[str, Path]) -> None:
    shared, repeated = sentence(4321), sentence(1234)
    write(roots["one"], "a.py", shared, repeated, repeated)
    write(roots["two"], "b.py", shared.replace("This computes", "This, computes").upper())
    write(roots["one"], "c.py", repeated + " 12")
    texts = [passage.text for passage in passages(roots)]
    assert shared not in texts
    assert sum(repeated in text for text in texts) == 1


def test_tests_and_vendored_code_are_left_out(roots: dict[str, Path]) -> None:
    write(roots["one"], "tests/t.py", sentence(4321))
    write(roots["one"], "_vendor/other/t.py", sentence(4322))
    assert len(passages(roots)) == 400


def test_no_module_and_no_wording_is_on_both_sides(roots: dict[str, Path]) -> None:
    everything = passages(roots)
    sides = split(everything)
    modules = [{(p.library, p.module) for p in side} for side in sides.values()]
    assert all(modules), "every side has some"
    assert sum(map(len, modules)) == len(set.union(*modules))
    taught = sides["train"][0]
    asked = sides["test"][0]
    copied = docstrings.Passage(
        asked.library, asked.module, f"Beware. {' '.join(taught.text.split()[:SHINGLE])} indeed"
    )
    assert copied not in split([*everything, copied])["test"]
    assert asked in split([*everything, copied])["test"]


def test_a_module_keeps_its_side_when_others_come(roots: dict[str, Path]) -> None:
    before = split(passages(roots))
    write(roots["one"], "new.py", *(sentence(9000 + i) for i in range(9)))
    after = split(passages(roots))
    assert all({p.module for p in before[side]} <= {p.module for p in after[side]} for side in before)


@given(st.integers(1, 30), st.integers(0, 3))
def test_draws_are_balanced_and_nested(each: int, seed: int) -> None:
    members = [docstrings.Passage("ab"[n % 2], f"m{n}", sentence(n)) for n in range(40)]
    drawn = draw(members, each, seed)
    assert [sum(p.library == name for p in drawn) for name in "ab"] == [min(each, 20)] * 2
    assert set(drawn) <= set(draw(members, each + 1, seed))


def test_prose_is_kept_and_names_are_masked() -> None:
    prose = "Torch tensors and np.ndarray objects share memory when PyTorch can do it,\n    numpyro or not, mostly."
    code = ">>> import numpy as np\n" * 6
    table = "x : 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30"
    found = list(paragraphs(f"Short.\n\n{prose}\n\n{code}\n\n{table}\n\n.. note:: {prose}\n\n{prose * 9}"))
    assert found == [
        "library tensors and library.ndarray objects share memory when library can do it, numpyro or not, mostly."
    ]


def test_the_libraries_are_in_the_lock_file() -> None:
    pins = {line.partition("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines()}
    assert set(docstrings.LIBRARIES) - {STANDARD_LIBRARY} <= pins
    assert all(root_of(name).is_dir() for name in docstrings.LIBRARIES)
    with pytest.raises(InputError, match="an installed package"):
        root_of("no_such_package")


@pytest.fixture
def two_libraries(roots: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The docstring task over the two small libraries."""
    monkeypatch.setattr(task, "BUILT", {"docstrings": tuple(roots)})
    monkeypatch.setattr(task, "root_of", roots.__getitem__)
    monkeypatch.setattr(task, "version", lambda name: "1")


@pytest.mark.usefixtures("two_libraries")
def test_the_docstring_task(roots: dict[str, Path], tmp_path: Path) -> None:
    made = load_task("docstrings", train_each=30, test_each=10, cache=tmp_path)
    assert made.labels == ("one", "two")
    assert (made.sizes(made.train), made.sizes(made.test), made.majority) == ([30, 30], [10, 10], 0.5)
    groups = [{example.group for example in side} for side in (made.train, made.dev, made.test)]
    assert sum(map(len, groups)) == len(set.union(*groups))
    write(roots["one"], "new.py", sentence(9000))
    again = load_task("docstrings", train_each=30, test_each=10, cache=tmp_path)
    assert again == made, "read from the cache"
    assert again.digest == made.digest
    other = load_task("docstrings", train_each=30, test_each=10, seed=1, cache=tmp_path)
    assert other.digest != made.digest
    assert {e.group for e in other.train} <= {e.group for e in load_task("docstrings", cache=tmp_path).train}


def tsv(path: Path, rows: Sequence[tuple[str, object]]) -> None:
    path.write_text("sentence\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))


def test_sst2_is_read_from_a_directory(tmp_path: Path) -> None:
    train = [(f'a {"good" if n % 2 else "bad"} film, "number {n} ', n % 2) for n in range(400)]
    tsv(tmp_path / "train.tsv", [*train, train[0], ("asked later", 1)])
    tsv(tmp_path / "dev.tsv", [("asked later", 1), ("dull", 0), ("a joy", 1)])
    made = load_task(str(tmp_path))
    assert made.labels == ("0", "1")
    assert [(e.text, e.label) for e in sorted(made.test, key=lambda e: e.text)] == [
        ("a joy", 1), ("asked later", 1), ("dull", 0)
    ]  # fmt: skip
    assert made.majority == pytest.approx(2 / 3)
    texts = {example.text for example in [*made.train, *made.dev]}
    assert texts == {text.strip() for text, _ in train}
    assert 0 < len(made.dev) < 60
    assert load_task(str(tmp_path), train_each=10).sizes(load_task(str(tmp_path), train_each=10).train) == [10, 10]


def test_json_lines_are_read_too(tmp_path: Path) -> None:
    for name in ("train", "validation"):
        rows = [{"sentence": f"{name} text {n}", "label": n % 2, "idx": n} for n in range(40)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = load_task(str(tmp_path))
    assert made.sizes(made.test) == [20, 20]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (None, "a directory with dev.tsv or dev.jsonl or validation.jsonl"),
        ("sentence\nno label\n", r"dev.tsv: record 1.*the fields sentence and label"),
        ("sentence\tlabel\nhidden\t-1\n", "no label -1"),
        ("sentence\tlabel\nonly one\t1\n", r"every label to test with \('0' has none\)"),
    ],
)
def test_directories_that_lack_something_are_refused(tmp_path: Path, rows: str | None, message: str) -> None:
    tsv(tmp_path / "train.tsv", [("bad", 0), ("good", 1), ("dire", 0), ("nice", 1)])
    if rows is not None:
        (tmp_path / "dev.tsv").write_text(rows)
    with pytest.raises(InputError, match=message):
        load_task(str(tmp_path))


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(InputError, match=r"reviews, docstrings, .*or a directory.*did you mean docstrings"):
        load_task("docstring")
