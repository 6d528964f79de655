"""The chain executes: the quick profile measured in a folder of its own, and the committed results read.

The experiments that come after it are measured by `make reproduce PROFILE=quick`, and looked at in `tests/quick`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from codesign import kernels, notebooks
from codesign.commands.bench import measure
from codesign.engines import SPARSE
from codesign.measure import PROTOCOLS
from codesign.records import Record
from codesign.study import places, profile_file
from codesign.study.chain import open_study
from codesign.study.places import TRY
from codesign.study.points import HEADLINE, sweep

pytestmark = pytest.mark.timeout(1200)  # each notebook of the chain prunes, compiles, tunes or times

#: Notebooks that need each other, and end in a latency.
CHAIN = ("01_prune", "02_compile", "03_tune", "04_latency", "05_scheduler", "06_sweeps")
QUICK = profile_file.load(profile_file.path_of("quick"))
# One thread (two on cores that other tests use wait for each other), one trial a task, one step beside the centre, and
# few engines: the quick run of CI measures all.
for name in CHAIN:
    QUICK[name] |= {"threads": 1} if "threads" in QUICK[name] else {}
    QUICK[name] |= {"trials_per_task": 1} if "trials_per_task" in QUICK[name] else {}
    QUICK[name] |= {"blocks": QUICK["01_prune"]["blocks"]}  # also where quick times one
QUICK["04_latency"] |= {"engines": ["torch-bsr", "onnxruntime", "tvm-dense", "tvm-bsr"], "rival": "onnxruntime"}
QUICK["06_sweeps"] |= {"sparsities": [0.5], "blocks": [HEADLINE]}
TINY = {name: QUICK["01_prune"][name] for name in ("model", "batch", "seq", "threads")}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One folder for all notebooks of this file: later ones need what earlier ones make."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("workspace")
        patch.setenv("CODESIGN_WORKSPACE", str(folder))
        kernels.prepare()
        yield folder


def printed(path: Path) -> str:
    """All text that a page shows below its cells."""
    cells = nbformat.read(path, as_version=4).cells
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    return "\n".join(str(output.get("text", output.get("data"))) for output in outputs)


def pruned_by_size(kind: str) -> list[Record]:
    """Local records of weights that were pruned by their size; 11_accuracy times weights that were trained, too."""
    return [record for record in places.results("local").read(kind) if record["pruner"] == "magnitude"]


def names(notebook: str) -> str:
    """What a page must list: 03_tune its runs, filed under the dense engines; all others block shapes."""
    return "tvm-stock-tuned" if notebook == "03_tune" else "32x1"


@pytest.mark.parametrize("name", CHAIN)
def test_a_notebook_measures_the_quick_profile(workspace: Path, name: str) -> None:
    path = notebooks.run(name, {**QUICK[name], "profile": "quick", "results": "local"})
    assert path == workspace / "runs" / f"{name}.ipynb"
    assert names(name) in printed(path)


def test_every_engine_of_the_quick_profile_computed_what_pytorch_does(workspace: Path) -> None:
    records = pruned_by_size("latency")
    assert {record["engine"] for record in records if record["status"] != "ok"} == {"torch-bsr"}  # no such blocks
    exact = [record for record in records if record["status"] == "ok" and record["format"] == "fp32"]
    assert max(record["max_abs_err"] for record in exact) <= 1e-4
    sparse = {(record["block"], record["sparsity"]) for record in records if record["engine"] == "tvm-bsr"}
    assert sparse == {("4x1", 0.8), ("32x1", 0.8), ("32x1", 0.5)}


def test_all_engines_of_a_session_get_the_same_weights(workspace: Path) -> None:
    sessions: dict[str, set[tuple[str, float]]] = {}
    for record in pruned_by_size("latency"):
        if record["engine"] not in SPARSE:
            sessions.setdefault(record["session_id"], set()).add((record["block"], record["sparsity"]))
    given = sorted(sessions.values(), key=sorted)
    assert given == [{("32x1", 0.5)}, {("32x1", 0.8)}]
    compiled = pruned_by_size("compile")
    assert {r["engine"] for r in compiled if r["bsr_linears"] == 0} == {r["engine"] for r in compiled} - {"tvm-bsr"}


def test_a_sweep_leaves_only_the_files_of_its_centre(workspace: Path) -> None:
    left = [path.name for name in ("models", "artifacts", "examples") for path in (places.build() / name).iterdir()]
    assert left
    assert all("-0.8-" in name for name in left)


def test_a_second_run_finds_everything_done(workspace: Path) -> None:
    def counts() -> dict[str, int]:
        return {path.name: path.read_text().count("\n") for path in places.results("local").directory.glob("*.jsonl")}

    before = counts()
    for name in ("04_latency", "06_sweeps"):
        notebooks.run(name, {**QUICK[name], "profile": "quick", "results": "local"})
    assert counts() == before


def test_a_shape_that_nobody_planned(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = open_study("local", TRY)
    # only in this process: the notebook, in one of its own, finds everything measured
    monkeypatch.setitem(PROTOCOLS, study.protocol, PROTOCOLS["quick"])
    where = (TINY["batch"], TINY["seq"], TINY["threads"])
    points = sweep(TINY["model"], 0, ["all"], "magnitude", [HEADLINE, "7x5"], 0.8, *where)  # 32x1 is tuned
    measure(study, points, 1)
    shape = {"block": "7x5", "sparsity": 0.8, "trials_per_task": 1, "results": "local"}
    page = printed(notebooks.run(notebooks.TRY, TINY | shape))
    assert "7x5 (all)" in page
    assert "Not measured here" not in page


def test_nothing_was_tried_in_a_fresh_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    assert "Not measured here" in printed(notebooks.run(notebooks.TRY, {}))


@pytest.mark.parametrize("name", ["03_tune", "04_latency"])  # building the book executes every one
def test_a_notebook_reads_the_committed_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    assert names(name) in printed(notebooks.run(name, {}))
    assert not (tmp_path / "results").exists()
