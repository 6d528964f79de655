"""Promises of the project files: pins, ignores, metadata."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
import yaml

import codesign

ROOT = Path(__file__).parents[2]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def read_pins(lock: str) -> dict[str, str]:
    lines = (ROOT / lock).read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines), "exact pins and nothing else"
    return {canonical(name): pin for name, pin in (line.split("==") for line in lines)}


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    return read_pins("requirements.lock")


@pytest.fixture(scope="module")
def peers() -> dict[str, str]:
    """What the worker of DeepSparse runs with."""
    return read_pins("requirements-peers.lock")


def test_the_lock_pins_every_direct_dependency(pins: dict[str, str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = project["dependencies"] + project["optional-dependencies"]["dev"]
    for requirement in direct:
        name, _, exact = requirement.partition("==")
        assert canonical(name) in pins
        assert exact in ("", pins[canonical(name)])
    assert canonical("codesign") not in pins


def test_tvm_is_pinned_with_the_one_version_of_its_interface_with_which_it_does_not_crash(pins: dict[str, str]) -> None:
    assert pins["apache-tvm-ffi"] == "0.1.14.post1"


def test_deepsparse_gets_the_older_packages_that_it_needs(peers: dict[str, str]) -> None:
    assert peers["deepsparse"].startswith("1.8.")
    assert peers["numpy"].startswith("1.")
    assert peers["onnx"].startswith("1.14.")


def test_every_import_is_a_direct_dependency(peers: dict[str, str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = {canonical(requirement.partition("==")[0]) for requirement in project["dependencies"]}
    provider = packages_distributions()
    sources = [*(ROOT / "lib").rglob("*.py"), *(ROOT / "book").glob("_ext/**/*.py"), *(ROOT / "notebooks").glob("*.py")]
    for source in sources:
        for module in imported(source) - sys.stdlib_module_names - {"codesign", "codesign_book"}:
            if module == "deepsparse":
                assert module in peers
                continue
            if module == "torchao":
                assert "torchao==" in (ROOT / "Makefile").read_text()
                continue
            assert direct & {canonical(name) for name in provider[module]}, f"{source} imports {module}"


def imported(source: Path) -> set[str]:
    """Top-level names of the absolute imports of a file."""
    modules: list[str] = []
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules.append(node.module or "")
    return {module.partition(".")[0] for module in modules}


def test_this_environment_is_the_locked_one(pins: dict[str, str]) -> None:
    for name, pin in pins.items():
        assert version(name).partition("+")[0] == pin


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        *((path, False) for path in ("lib/codesign/new.py", "book/results/zen4-avx512/latency.jsonl")),
        *((path, True) for path in ("build/models/x", ".venv/bin/python", "book/runs/a.ipynb", "book/_build/x")),
        *(("lib/codesign/build/x.py", False), ("book/results/local/latency.jsonl", True)),
    ],
)
def test_what_is_generated_is_ignored_and_nothing_else(path: str, ignored: bool) -> None:
    assert subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT, check=False).returncode == (not ignored)


def test_the_citation_names_this_version_and_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == codesign.__version__
    assert "arXiv:2106.08846" in str(citation["references"])
    assert f"## {codesign.__version__}" in (ROOT / "CHANGELOG.md").read_text()
