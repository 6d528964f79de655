"""Notebooks executed: parameters in, a page out; what goes wrong is named. One fork server serves all kernels."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import jupytext
import nbformat
import pytest

from codesign import kernels, notebooks
from codesign.errors import InputError, NotebookFailed
from codesign.study import places, profile_file

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
TUNE = profile_file.defaults("03_tune")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for everything a run writes, and a notebook folder to fill."""
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    monkeypatch.setattr(places, "NOTEBOOKS", tmp_path / "notebooks")
    places.NOTEBOOKS.mkdir()
    return tmp_path


def write(body: str, name: str = "03_tune") -> None:
    header = jupytext.writes(nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL}), "py:percent")
    cell = "\n".join(f"{name} = {value!r}" for name, value in TUNE.items())
    (places.NOTEBOOKS / f"{name}.py").write_text(f'{header}\n# %% tags=["parameters"]\n{cell}\n\n# %%\n{body}\n')


def test_a_run_replaces_parameters_and_leaves_progress_out_of_the_page(workspace: Path) -> None:
    write("import os, sys\nprint('shown', seq, os.getpid())\nprint('progress', file=sys.stderr)")
    pages = []
    for seq in (64, 32):  # each in a kernel of its own, that knows nothing of the other
        path = notebooks.run("03_tune", {"seq": seq})
        assert path == workspace / "runs" / "03_tune.ipynb"
        pages.append([output.text.split() for output in nbformat.read(path, as_version=4).cells[-1].outputs])
    ((first,), (second,)) = pages
    assert (first[:2], second[:2]) == (["shown", "64"], ["shown", "32"])
    assert len({first[2], second[2], str(os.getpid())}) == 3
    assert set(notebooks.took("default")) == set(), "times of reading are no costs"


@pytest.mark.parametrize(
    ("body", "message"),
    [("seq / 0  # goes wrong", "03_tune, cell 2 .*goes wrong.*ZeroDivision"), ("import os\nos._exit(1)", "died")],
)
def test_a_failed_cell_is_named_and_the_older_page_stays(workspace: Path, body: str, message: str) -> None:
    page = workspace / "runs" / "03_tune.ipynb"
    page.parent.mkdir()
    page.write_text("older")
    write(body)
    with pytest.raises(NotebookFailed, match=message):
        notebooks.run("03_tune", {})
    assert page.read_text() == "older"


def test_notebooks_that_measure_nothing_run_beside_each_other_until_one_fails(workspace: Path) -> None:
    write("seq")
    write("seq / 0", "bad")
    read = {"results": "book"}
    with pytest.raises(NotebookFailed, match="bad, cell 2"):
        notebooks._side_by_side({"03_tune": read, "bad": read})
    assert (workspace / "runs" / "03_tune.ipynb").exists()


def test_what_a_profile_leaves_out_shows_the_committed_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    (tmp_path / "build").mkdir()
    ran = {}
    monkeypatch.setattr(notebooks, "run", lambda name, values: ran.setdefault(name, values["results"]))
    monkeypatch.setattr(notebooks.kernels, "prepare", lambda: None)
    monkeypatch.setattr(notebooks.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0))
    notebooks.build_book("local", "default")
    assert {name for name, results in ran.items() if results == "book"} == {
        "07_your_shape",
        "11_accuracy",
        "18_formats",
    }
    assert sorted(ran) == profile_file.notebooks()


@pytest.mark.parametrize("cell", ["seq = 2 * 64", "def seq(): ...", "seq: int = 128", "seq = 0"])
def test_a_parameters_cell_holds_plain_literals_that_are_right(workspace: Path, cell: str) -> None:
    write("")
    path = places.NOTEBOOKS / "03_tune.py"
    path.write_text(path.read_text().replace("seq = 128", cell))
    with pytest.raises(InputError, match="seq"):
        profile_file.defaults("03_tune")


def test_more_threads_than_this_machine_has_are_refused_before_any_work(workspace: Path) -> None:
    write("")
    with pytest.raises(InputError, match="threads=256"):
        notebooks.run("03_tune", {"results": "local", "threads": 256})
    assert [path.name for path in workspace.iterdir()] == ["notebooks"]


def test_two_kernels_share_no_file() -> None:
    one, other = kernels.ForkedKernel(), kernels.ForkedKernel()
    assert one.ip != other.ip
    assert len(one.ip) < 90  # a socket's name has a limit of about a hundred
