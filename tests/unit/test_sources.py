"""The code that a record is named by: what its numbers depend on, all of it, and not more than that."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

import codesign
from codesign import sources
from codesign.schema import KINDS
from codesign.sources import DECIDES_NOTHING, RESTS_ON, code_digest, declare, declared, digest, stands_for

PACKAGE = Path(codesign.__file__).parent
#: Imported for what an engine is called and can do, which is nothing to a pattern or to the accuracy of a model.
NAMES_ONLY = {("study/points.py", "engines/__init__.py")}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package that a test may change."""
    return shutil.copytree(PACKAGE, tmp_path / "codesign", ignore=shutil.ignore_patterns("__pycache__"))


def changed(copy: Path, name: str) -> set[str]:
    """Return which kinds get another digest when one file gets another line."""
    with (copy / name).open("a") as file:
        file.write("# changed\n")
    return {kind for kind, names in RESTS_ON.items() if digest(copy, names) != digest(PACKAGE, names)}


MODELS = {
    *("pattern", "accuracy", "compile", "task", "tuning", "latency", "protocol", "profile", "search", "kernel"),
    *("variant", "vectors", "layouts", "listing", "identity", "soak"),
}
BUILT = {*MODELS, "ceiling"} - {"pattern", "accuracy"}


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("compiler/schedules/token_tile.py", BUILT),
        ("engines/openvino.py", BUILT - {"ceiling"}),
        ("measure/session.py", {"latency", "protocol", "profile", "vectors", "layouts", "soak"}),
        ("prune/magnitude.py", MODELS),
        ("train/loop.py", {"accuracy"}),
        ("corpus/task.py", {"accuracy"}),
        ("study/ceilings.py", {"ceiling", "kernel"}),
        ("study/loops.py", {"listing"}),
        ("study/figures/drawing.py", set()),
        ("study/sweeps.py", set()),
        ("records.py", {"soak"}),
        ("study/soak/kills.py", {"soak"}),
        ("study/claims.py", set()),
    ],
)
def test_a_change_is_noticed_by_the_records_that_rest_on_it(copy: Path, name: str, kinds: set[str]) -> None:
    assert changed(copy, name) == kinds


def test_a_new_experiment_leaves_old_records_as_they_were(copy: Path) -> None:
    (copy / "study" / "experiment.py").write_text("")
    assert changed(copy, "study/experiment.py") == set()
    (copy / "compiler" / "schedules" / "another.py").write_text("")
    assert changed(copy, "compiler/schedules/another.py") == BUILT


def test_a_renamed_file_and_one_that_is_gone_are_changes(copy: Path) -> None:
    (copy / "compiler" / "lower.py").rename(copy / "compiler" / "lowering.py")
    assert digest(copy, RESTS_ON["compile"]) != digest(PACKAGE, RESTS_ON["compile"])
    (copy / "compiler" / "lowering.py").unlink()
    assert digest(copy, RESTS_ON["compile"]) != digest(PACKAGE, RESTS_ON["compile"])


def test_a_kind_that_nothing_is_said_of_rests_on_everything(copy: Path) -> None:
    before = digest(copy, ("",))
    assert code_digest("a kind of tomorrow") == before
    with (copy / "cli.py").open("a") as file:
        file.write("# changed\n")
    assert digest(copy, ("",)) != before


def test_sources_that_decide_the_same_go_by_the_old_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "UNCHANGED", tmp_path / "unchanged.json")
    sources.UNCHANGED.write_text("[]")
    now = digest(PACKAGE, RESTS_ON["compile"])
    assert stands_for("compile", now, declared()) == now
    declare("a message", {"compile": "0123456789ab", "task": now})
    assert declared() == [{"reason": "a message", "digests": {"compile": [now, "0123456789ab"]}}]
    assert stands_for("compile", now, declared()) == "0123456789ab"
    assert stands_for("task", now, declared()) == now  # what did not change needs no declaration
    assert stands_for("compile", "another", declared()) == "another"  # the next change is not declared by this one
    declare("a message", {"compile": "ba9876543210"})
    assert stands_for("compile", now, declared()) == "ba9876543210"


def test_a_declared_change_says_why() -> None:
    assert all(len(change["reason"]) > 40 and set(change["digests"]) <= set(KINDS) for change in declared())


def test_every_name_is_that_of_a_source() -> None:
    files = [path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")]
    names = {*DECIDES_NOTHING, *(name for names in RESTS_ON.values() for name in names)}
    assert not [name for name in names if not any(file.startswith(name) for file in files)]
    assert RESTS_ON.keys() <= KINDS.keys()


def imported(name: str) -> set[str]:
    """Return the files of the package that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / name).read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for module in modules:
            stem = module.removeprefix("codesign.").replace(".", "/") if module.startswith("codesign.") else None
            found |= {file for file in (f"{stem}.py", f"{stem}/__init__.py") if stem and (PACKAGE / file).exists()}
    return found


@pytest.mark.parametrize("kind", RESTS_ON)
def test_what_the_sources_of_a_kind_import_is_among_them(kind: str) -> None:
    """A record must not claim less than it rests on: the import that nobody thought of would show here."""
    named = RESTS_ON[kind]
    files = [path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")]
    edges = {(file, other) for file in files if file.startswith(named) for other in imported(file)}
    beyond = {edge for edge in edges if not edge[1].startswith((*named, *DECIDES_NOTHING))}
    assert beyond <= (NAMES_ONLY if kind in ("pattern", "accuracy") else set())
