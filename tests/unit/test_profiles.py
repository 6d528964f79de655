"""The notebooks' own cells and the profiles agree; everything else is refused by name."""

from __future__ import annotations

import inspect
from itertools import pairwise
from pathlib import Path

import pytest

from codesign import notebooks
from codesign.errors import InputError
from codesign.study import places, profile_file
from codesign.study.points import sweep

NOTEBOOKS = sorted(path.stem for path in places.NOTEBOOKS.glob("*.py"))
QUICK = profile_file.path_of("quick").read_text().partition("budget_minutes")[0]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_parameters_cell_is_right_and_says_values_or_units(name: str) -> None:
    assert tuple(profile_file.defaults(name))[:2] == profile_file.MODE
    text = (places.NOTEBOOKS / f"{name}.py").read_text()
    cell = text.partition('# %% tags=["parameters"]\n')[2].partition("\n\n# %%")[0]
    bare = [line for above, line in pairwise(["", *cell.splitlines()]) if "#" not in line and above[:1] != "#"]
    assert bare in ([], ['profile = "try"'])


@pytest.mark.parametrize("profile", profile_file.names())
def test_every_profile_gives_every_notebook_a_sweep_and_a_budget(profile: str) -> None:
    sections = profile_file.load(profile_file.path_of(profile))
    shown = {"11_accuracy", "18_formats"} if profile == "default" else set()  # from the committed records
    assert set(sections) == set(NOTEBOOKS) - {notebooks.TRY, *shown}
    names = inspect.signature(sweep).parameters
    for values in sections.values():
        if "pruner" not in values:  # single kernels, of no model's weights
            continue
        lists = {f"{one}s": [values[one]] for one in ("scope", "block") if one in values}
        assert sweep(**{name: value for name, value in (lists | values).items() if name in names})
    assert set(profile_file.budgets(profile)) == {*sections, "book"}


def test_the_notebooks_default_to_what_was_committed() -> None:
    committed = profile_file.load(places.results("book").directory / places.PARAMETERS)
    not_yet = {"18_formats"}  # measured on another machine
    assert set(committed) == set(profile_file.load(profile_file.path_of("full"))) - not_yet
    for name, values in committed.items():
        assert profile_file.defaults(name) == {"results": "book", "profile": "default", **values}


@pytest.mark.parametrize(
    ("values", "message"),
    [({"block": "4x1"}, "parameter='block' .* a parameter of 03_tune; did you mean blocks"), ({"seq": 0}, "seq=0")],
)
def test_a_notebook_takes_its_own_parameters_only(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        profile_file.check_all("03_tune", values)
    with pytest.raises(InputError, match=r"notebook='3_tune' .* did you mean 03_tune"):
        profile_file.check_all("3_tune", values)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seq: 16", "sequence: 32", "parameter='sequence' .* did you mean seq"),
        ("  seq: 16\n", "", r"seq=None .* \(01_prune takes it, and it is missing\)"),
        ("seq: 16", "seq: '32'", "seq='32' .* an integer"),
        ("seq: 16", "seq: 4096", "seq=4096 .* did you mean 512"),
        ("common:", "comon:", "section='comon' .* did you mean common"),
        ("03_tune:", "03_tun:", "notebook='03_tun' .* did you mean 03_tune"),
        ("trials_per_task", "trials", "parameter='trials' .* did you mean trials_per_task"),
    ],
)
def test_a_mistake_in_a_profile_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(QUICK.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        profile_file.load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a mapping with the sections .*, not nothing"),
        (b"hello", "not text"),
        (b"- 01_prune", "not a list"),
        (b"a: [", "line 1: did not find expected|line 1: expected the node content"),
        (b"common:\n\tseq: 1\n", "line 2: found character"),
        (b"\xff\xfe\x80", "mine.yaml"),
        (b"a: " + b"[" * 3000, "mine.yaml"),
        (b"seq: " + b"9" * 5000, "mine.yaml"),
        (b"!!python/object/apply:os.getcwd []", "could not determine a constructor"),
        (b"common: {}\n---\ncommon: {}\n", "line 2: but found another document"),
        (b"common: {}\n", "section='notebooks' .* is missing"),
        (b"notebooks: 01_prune\n", "notebooks='01_prune' .* a mapping"),
        (b"notebooks:\n  01_prune: hello\n", "01_prune='hello' .* a mapping"),
        (b"common: [1]\nnotebooks:\n  01_prune:\n", r"common=\[1\] .* a mapping"),
        (b"common:\n  seq: 1\n  seq: 2\nnotebooks:\n", "seq='twice'.*line 3"),
        (b"common: &a\n  x: *a\nnotebooks:\n", "parameter='x'"),
        (b"notebooks:\n  ? [1]\n  : 2\n", "mine.yaml"),
    ],
)
def test_a_file_that_is_no_profile_is_refused_by_what_is_wrong(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        profile_file.load(path)


def test_a_profile_that_is_not_there_or_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / ("x" * 300), tmp_path / "a\0b"):
        with pytest.raises(InputError, match="profile="):
            profile_file.load(path)
    with pytest.raises(InputError, match=r"profile='defalt' .* did you mean default"):
        profile_file.load(tmp_path / "defalt.yaml")


@pytest.mark.parametrize("name", ["", "../params/quick", "quick.yaml", "/etc/passwd", "x" * 5000, "a\0b"])
def test_a_profile_is_a_name_and_no_path(name: str) -> None:
    with pytest.raises(InputError, match="one of default, full, quick"):
        profile_file.path_of(name)
