"""The worked examples of CONTRIBUTING.md, followed as they are written in a copy of the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from codesign.records import REPOSITORY

TEXT = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
#: The experiment: what follows the parameters of its notebook.
CELLS = re.compile(r"^   ```python\n(.*?)^   ```$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(python|diff)\n# (lib/\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

PRUNER = """
import sys
import numpy as np
from codesign.blocks import BlockShape
from codesign.encoder import load_encoder, prunable_linears
from codesign.prune import prune_model
from codesign.study.parameters import check
check("pruner", "peak")
model = load_encoder("bert-tiny")
whole = {name: linear.weight.clone() for name, linear in prunable_linears(model, "all").items()}
done = prune_model(model, scope="all", pruner="peak", block=BlockShape(7, 5), sparsity=0.5, seed=0)
assert abs(done.block_sparsity - 0.5) < 0.01
for name, linear in prunable_linears(model, "all").items():
    kept = linear.weight != 0
    assert whole[name][kept].abs().max() == whole[name].abs().max(), "the largest weight stays"
"""
ENGINE = """
from codesign.engines import Job, find
from codesign.engines.client import Worker, max_abs_error
from codesign.answers.words import ENGINE_LABELS
job = Job("torch-export", sys.argv[1], None, sys.argv[2], 1)
assert find("torch-export").unavailable() is None
assert ENGINE_LABELS["torch-export"] == "torch-export"
with Worker(job) as worker:
    worker.prepare()
    outputs, _ = worker.output()
assert max_abs_error(outputs, sys.argv[3]) < 1e-5
"""
FAMILY = """
from codesign.compiler import target_spec
from codesign.compiler.operators import ToFeatureMajor
from codesign.compiler.schedules import families_for, refusals
from codesign.compiler.tvm_compat import tvm
spec = target_spec(1)
assert "padded to 16" in refusals(ToFeatureMajor(2, 13, 16, 10, 16), spec)["layout_rows"]
operator = ToFeatureMajor(batch=2, seq=16, seq_padded=16, features=10, slab=16)
(family,) = (family for family in families_for(operator) if family.name == "layout_rows")
inputs = operator.example_inputs(np.random.default_rng(0))
want = operator.oracle(*inputs)
for decisions in family.points(operator, spec):
    out = tvm.runtime.tensor(np.full(want.shape, np.nan, np.float32))
    built = tvm.compile(tvm.IRModule({"main": family.generate(operator, spec, decisions)}), target=spec.target)
    built["main"](*[tvm.runtime.tensor(array) for array in inputs], out)
    np.testing.assert_array_equal(out.numpy(), want)
assert len(family.points(operator, spec)) == 2
"""
CLAIM = """
import yaml
sys.path.insert(0, sys.argv[5])
from synthetic import Memory, session
from codesign.answers.claims import Claim, judge
from codesign.answers.frames import Frames
(entry,) = yaml.safe_load(sys.argv[4])
sizes = {"openvino": 300, "tvm-bsr": 200}
records = [r | {"peak_rss_bytes": sizes.get(r["engine"], 100)} for r in session()]
found = judge(Claim.model_validate(entry), Frames(Memory(records)))
assert (found.verdict, found.effect.value) == ("supported", 1.5)
"""


def apply(root: Path, kind: str, name: str, text: str) -> None:
    """Write a new file, or make the change that a diff shows, which must fit exactly one place."""
    path = root / name
    if kind == "python":
        assert not path.exists(), f"{name} is new"
        path.write_text(text)
        return
    whole = path.read_text()
    lines = text.splitlines()
    if lines[0].endswith("..."):  # the statement that starts so; what is added goes below it
        start = whole.index("\n" + lines[0][1:-3])
        end = re.compile(r"\]\n").search(whole, start)
        assert end
        added = "".join(f"{line[1:]}\n" for line in lines[1:])
        path.write_text(whole[: end.end()] + added + whole[end.end() :])
        return
    before, after = ("".join(f"{line[1:]}\n" for line in lines if line[0] in signs) for signs in (" -", " +"))
    assert whole.count(before) == 1, f"{name} has one place for {before!r}"
    path.write_text(whole.replace(before, after))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the package in which all examples were followed."""
    root = tmp_path_factory.mktemp("contributor")
    shutil.copytree(REPOSITORY / "lib", root / "lib", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for kind, name, text in BLOCK.findall(TEXT):
        apply(root, kind, name, text)
    return root


def follow(copy: Path, *arguments: str) -> None:
    """Run Python with the copy, which must succeed."""
    environment = os.environ | {"PYTHONPATH": str(copy / "lib"), "CODESIGN_WORKSPACE": str(copy / "workspace")}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_each_example_is_one_file_and_at_most_a_registration() -> None:
    new = [name for kind, name, _ in BLOCK.findall(TEXT) if kind == "python"]
    changed = {name for kind, name, _ in BLOCK.findall(TEXT) if kind == "diff"}
    assert (len(new), len(changed)) == (4, 2), "a pruner's name registers it"
    assert all(Path(name).name == "__init__.py" for name in changed)


def test_pruner_engine_family_and_claim_do_what_they_say(copy: Path, tiny) -> None:
    (entry,) = re.findall(r"^```yaml\n# book/claims.yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    paths = [str(path) for path in (tiny.checkpoint, tiny.inputs, tiny.expected)]
    follow(copy, "-c", PRUNER + ENGINE + FAMILY + CLAIM, *paths, entry, str(REPOSITORY / "tests"))


@pytest.mark.timeout(600)
def test_the_experiment(copy: Path) -> None:
    """A notebook and a line in each profile; then the command runs it."""
    (cells,) = CELLS.findall(TEXT)
    shutil.copytree(REPOSITORY / "notebooks", copy / "notebooks")
    kept, _, _ = (copy / "notebooks" / "05_scheduler.py").read_text().partition('# %% tags=["hide-input"]')
    assert '# %% tags=["parameters"]' in kept
    (copy / "notebooks" / "18_norms.py").write_text(kept + textwrap.dedent(cells))
    for profile in (copy / "notebooks" / "params").glob("*.yaml"):
        add(profile, "  05_scheduler:\n", "  18_norms:\n")
        add(profile, "budget_minutes: {", "18_norms: 0.1, ")
    follow(copy, "-m", "codesign.cli", "run", "18_norms", "--profile", "quick", "--results", "local")
    page = (copy / "workspace" / "runs" / "18_norms.ipynb").read_text()
    assert "norm kept" in page
    assert re.search(r"<td>32x1</td><td>\d+\.\d%</td>", page)


def add(path: Path, after: str, text: str) -> None:
    """Put a line below another one, which stands once."""
    whole = path.read_text()
    assert whole.count(after) == 1, f"{path.name} has one place for {text!r}"
    path.write_text(whole.replace(after, after + text))


def test_the_examples_are_in_house_style(copy: Path) -> None:
    paths = [str(copy / name) for _, name, _ in BLOCK.findall(TEXT)]
    for command in (["check", "--config", str(REPOSITORY / "pyproject.toml")], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--line-length=120", *paths],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def test_the_map_of_the_rooms_is_complete() -> None:
    rooms = {path.stem for path in (REPOSITORY / "lib" / "codesign").iterdir() if not path.name.startswith("__")}
    named = set(re.findall(r"`([a-z_, ]+)`", TEXT.partition("## House style")[0]))
    assert rooms <= {word for group in named for word in group.split(", ")}
