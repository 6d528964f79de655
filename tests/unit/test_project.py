"""Promises of the project files: pins, ignores, metadata."""

import re
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

import codesign

ROOT = Path(__file__).parents[2]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines), "exact pins and nothing else"
    return {canonical(name): pin for name, pin in (line.split("==") for line in lines)}


def test_the_lock_pins_every_direct_dependency(pins: dict[str, str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = project["dependencies"] + project["optional-dependencies"]["dev"]
    for requirement in direct:
        name, _, exact = requirement.partition("==")
        assert canonical(name) in pins
        assert exact in ("", pins[canonical(name)])
    assert canonical("codesign") not in pins


def test_this_environment_is_the_locked_one(pins: dict[str, str]) -> None:
    for name, pin in pins.items():
        assert version(name).partition("+")[0] == pin


@pytest.mark.parametrize(
    "path", ["lib/codesign/new.py", "book/results/reference/latency.jsonl", "lib/codesign/build/x.py"]
)
def test_nothing_of_the_project_is_ignored(path: str) -> None:
    assert not ignored(path)


@pytest.mark.parametrize(
    "path",
    ["build/models/x", ".venv/bin/python", "book/runs/a.ipynb", "book/_build/x", "book/results/local/latency.jsonl"],
)
def test_generated_files_are_ignored(path: str) -> None:
    assert ignored(path)


def ignored(path: str) -> bool:
    return subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT, check=False).returncode == 0


def test_the_citation_names_this_version_and_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == codesign.__version__
    assert "arXiv:2106.08846" in str(citation["references"])
    assert f"## {codesign.__version__}" in (ROOT / "CHANGELOG.md").read_text()
