"""Parameters: the rules, the notebooks' own cells and the profiles agree; everything else is refused by name."""

from __future__ import annotations

import inspect
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest

from codesign import pipeline
from codesign.errors import InputError, NotebookFailed
from codesign.study import places
from codesign.study.parameters import NOTEBOOKS, RULES, check, check_all, parse
from codesign.study.points import sweep

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
#: What the book leaves out until there are reference records of it.
WAITING: set[str] = set()
TUNE = pipeline.default_parameters("03_tune")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("sparsity", 1.2, r"sparsity=1.2 .* a number from 0.0 to 0.999; did you mean 0.999"),
        ("sparsity", -0.5, "did you mean 0.0"),
        ("sparsity", float("nan"), "sparsity=nan"),
        ("sparsity", "0.8", r"sparsity='0.8' .* did you mean 0.8"),
        ("threads", 0, "an integer from 1 to 256; did you mean 1"),
        ("threads", 2.0, r"threads=2.0 .* an integer .* did you mean 2"),
        ("seed", True, r"seed=True .* an integer"),
        ("scope", "atention", "one of attention, ffn, all; did you mean attention"),
        ("scopes", "all", "a list without repetition"),
        ("scopes", ["all", "all"], r"did you mean \['all'\]"),
        ("blocks", ["32x1", "0x4"], r"block='0x4' .* did you mean 1x4"),
        ("blocks", ["dense", "32x1"], "block='dense'"),
        ("blocks", [], "a list without repetition, each a block shape"),
        ("batches", [1, 1], r"or an empty one, each an integer .* did you mean \[1\]"),
        ("engines", ["tvm-bsr", "openvin"], "did you mean openvino"),
        ("block", "dense", "block='dense'"),
        ("block", 4, r"block=4 .* a block shape as '32x1'; did you mean 4x1"),  # YAML 1.1 reads 0x4 so
        ("blocks", "4x1", r"blocks='4x1' .* did you mean \['4x1'\]"),
        ("seq", "9" * 5000, "seq='9{5000}'"),
        ("model", ["minilm"], r"expected text$"),
        ("model", "", "model=''"),
        ("sparsty", 0.8, r"parameter='sparsty' .* did you mean sparsity"),
    ],
)
def test_a_value_against_its_rule_is_refused_with_the_nearest_right_one(name: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(name, value)


def test_a_list_of_other_values_may_be_empty() -> None:
    assert check("seqs", []) == []


def test_a_whole_number_is_a_number() -> None:
    assert check("sparsity", 0) == 0.0
    assert isinstance(check("sparsity", 0), float)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("block", "0x4", "0x4"),  # YAML 1.1 reads a hexadecimal 4
        ("blocks", "[dense, 0x4, 32x1]", ["dense", "0x4", "32x1"]),
        ("model", "7", "7"),
        ("sparsity", "0.9", 0.9),
        ("threads", "2", 2),
    ],
)
def test_text_is_read_as_the_rule_says(name: str, text: str, value: object) -> None:
    assert parse(name, text) == value


@pytest.mark.parametrize(
    ("name", "text"), [("scopes", "[all"), ("seq", "9" * 5000), ("seq", "[" * 5000), ("seq", "!!python/name:os.x")]
)
def test_text_that_is_not_yaml_is_refused(name: str, text: str) -> None:
    with pytest.raises(InputError, match=name):
        parse(name, text)


def test_a_notebook_takes_its_own_parameters_only() -> None:
    with pytest.raises(InputError, match=r"parameter='block' .* a parameter of 03_tune; did you mean blocks"):
        check_all("03_tune", TUNE | {"block": "4x1"})


def test_a_missing_parameter_is_named() -> None:
    incomplete = {name: value for name, value in TUNE.items() if name != "seq"}
    with pytest.raises(InputError, match=r"seq=None .* \(03_tune takes it, and it is missing\)"):
        check_all("03_tune", incomplete)


def test_an_unknown_notebook_gets_the_nearest_one() -> None:
    with pytest.raises(InputError, match=r"notebook='3_tune' .* did you mean 03_tune"):
        check_all("3_tune", {})


def test_every_notebook_is_known_and_its_cell_defines_its_parameters_with_valid_values() -> None:
    assert {path.stem for path in places.NOTEBOOKS.glob("*.py")} == set(NOTEBOOKS)
    for name, wanted in NOTEBOOKS.items():
        assert tuple(pipeline.default_parameters(name)) == wanted, name


def test_every_parameter_says_its_values_or_unit_in_the_cell() -> None:
    for name in NOTEBOOKS:
        (cell,) = (c for c in pipeline.read_notebook(name).cells if "parameters" in c.metadata.get("tags", ()))
        lines = ["", *cell.source.splitlines()]
        bare = [line for above, line in pairwise(lines) if "#" not in line and not above.startswith("#")]
        assert bare in ([], ['profile = "try"']), name


@pytest.mark.parametrize("profile", pipeline.profiles())
def test_every_profile_gives_every_notebook_a_sweep_and_a_budget(profile: str) -> None:
    path = places.PROFILES / f"{profile}.yaml"
    sections = pipeline.load_profile(path)
    waiting = WAITING if profile in ("report", "verify") else set()
    assert set(sections) == set(NOTEBOOKS) - {pipeline.TRY} - waiting
    names = inspect.signature(sweep).parameters
    for name, values in sections.items():
        if "pruner" not in values:  # single kernels, of no model's weights
            continue
        lists = {f"{one}s": [values[one]] for one in ("scope", "block") if one in values}
        assert sweep(**{name: value for name, value in (lists | values).items() if name in names})
    assert set(pipeline.ledger.budgets(profile)) == {*sections, "book"}


def test_the_notebooks_default_to_what_was_committed() -> None:
    committed = pipeline.load_profile(places.COMMITTED)
    assert set(committed) == set(pipeline.load_profile(places.PROFILES / "report.yaml"))
    for name, values in committed.items():
        assert pipeline.default_parameters(name) == {"results": "book", "profile": "report", **values}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seq: 32", "sequence: 32", "parameter='sequence' .* did you mean seq"),
        ("  seq: 32\n", "", "seq=None .* missing"),
        ("seq: 32", "seq: '32'", "seq='32' .* an integer"),
        ("seq: 32", "seq: 4096", "seq=4096 .* did you mean 512"),
        ("common:", "comon:", "section='comon' .* did you mean common"),
        ("03_tune:", "03_tun:", "notebook='03_tun' .* did you mean 03_tune"),
        ("trials_per_task", "trials", r"parameter='trials' .* did you mean trials_per_task"),
    ],
)
def test_a_mistake_in_a_profile_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (places.PROFILES / "smoke.yaml").read_text().partition("budget_minutes")[0]
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        pipeline.load_profile(path)


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
        (b"notebooks: [01_prune]\n", r"notebooks=\['01_prune'\] .* a mapping"),
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
        pipeline.load_profile(path)


def test_a_profile_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / ("x" * 300), tmp_path / "a\0b"):
        with pytest.raises(InputError, match="profile="):
            pipeline.load_profile(path)


def test_an_unknown_profile_gets_the_nearest_one() -> None:
    with pytest.raises(InputError, match=r"profile='reprot' .* did you mean report"):
        pipeline.load_profile(places.PROFILES / "reprot.yaml")
    with pytest.raises(InputError, match=r"profile='reprot' .* did you mean report"):
        pipeline.profile_path("reprot")


@pytest.mark.parametrize("name", ["", "../params/smoke", "smoke.yaml", "/etc/passwd", "x" * 5000, "a\0b"])
def test_a_profile_is_a_name_and_no_path(name: str) -> None:
    with pytest.raises(InputError, match="one of paper, report, smoke, verify"):
        pipeline.profile_path(name)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for everything a run writes, and a notebook folder to fill."""
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    monkeypatch.setattr(places, "NOTEBOOKS", tmp_path / "notebooks")
    places.NOTEBOOKS.mkdir()
    return tmp_path


def write_notebook(body: str) -> None:
    header = jupytext.writes(nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL}), "py:percent")
    cell = "\n".join(f"{name} = {value!r}" for name, value in TUNE.items())
    (places.NOTEBOOKS / "03_tune.py").write_text(f'{header}\n# %% tags=["parameters"]\n{cell}\n\n# %%\n{body}\n')


def test_a_run_replaces_parameters_and_leaves_progress_out_of_the_page(workspace: Path) -> None:
    write_notebook("import sys\nprint('shown', seq)\nprint('progress', file=sys.stderr)")
    path = pipeline.run_notebook("03_tune", {"seq": 64})
    assert path == workspace / "runs" / "03_tune.ipynb"
    outputs = nbformat.read(path, as_version=4).cells[-1].outputs
    assert [output.text for output in outputs] == ["shown 64\n"]


def test_a_failed_cell_is_named_and_the_older_page_stays(workspace: Path) -> None:
    page = workspace / "runs" / "03_tune.ipynb"
    page.parent.mkdir()
    page.write_text("older")
    write_notebook("seq / 0  # goes wrong")
    with pytest.raises(NotebookFailed, match=r"03_tune, cell 2 .*goes wrong.*ZeroDivisionError"):
        pipeline.run_notebook("03_tune", {})
    assert page.read_text() == "older"


def test_a_kernel_that_dies_is_a_failed_notebook(workspace: Path) -> None:
    write_notebook("import os\nos._exit(1)")
    with pytest.raises(NotebookFailed, match=r"03_tune: .*died"):
        pipeline.run_notebook("03_tune", {})


@pytest.mark.parametrize("cell", ["seq = 2 * 64", "def seq(): ...", "seq: int = 128"])
def test_a_parameters_cell_holds_plain_literals_only(workspace: Path, cell: str) -> None:
    write_notebook("")
    path = places.NOTEBOOKS / "03_tune.py"
    path.write_text(path.read_text().replace("seq = 128", cell))
    with pytest.raises(InputError, match="seq"):
        pipeline.default_parameters("03_tune")


def test_rules_in_words_fit_a_sentence() -> None:
    assert all(rule.expected for rule in RULES.values())


def test_more_threads_than_this_machine_has_are_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    with pytest.raises(InputError, match="threads=256"):
        pipeline.run_notebook("01_prune", {"results": "local", "threads": 256})
    assert not list(tmp_path.iterdir())


def test_two_kernels_share_no_file() -> None:
    one, other = pipeline.LocalKernel(), pipeline.LocalKernel()
    assert one.ip != other.ip
    assert len(one.ip) < 90  # a socket's name has a limit of about a hundred


def test_notebooks_that_measure_nothing_run_in_processes_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(name: str, values: dict[str, str]) -> None:
        (tmp_path / name).write_text(str(os.getpid()))
        if name == "bad":
            raise NotebookFailed(f"{name}, cell 1, {values['results']}")

    monkeypatch.setattr(pipeline, "run_notebook", run)
    read = {"results": "book"}
    pipeline._side_by_side({"one": read, "two": read})
    assert str(os.getpid()) not in {(tmp_path / name).read_text() for name in ("one", "two")}
    with pytest.raises(NotebookFailed, match="bad, cell 1, reference"):
        pipeline._side_by_side({"first": read, "bad": read, "last": read})
    assert (tmp_path / "first").exists()
