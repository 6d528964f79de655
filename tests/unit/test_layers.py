"""The package's rooms: a module imports only from rooms to its left, and what a test of one room needs is small."""

import ast
from pathlib import Path

import pytest

import codesign

PACKAGE = Path(codesign.__file__).parent
ROOMS = [
    *("errors", "progress", "blocks", "folders", "schema", "records"),
    *("checkpoint", "forward", "encoder", "corpus", "prune", "bsr", "machine", "train"),
    *("compiler", "engines", "measure", "study", "answers", "plot", "kernels", "notebooks", "commands", "cli"),
]
#: All that engines and users of a saved model need; nothing else of the package may come with it.
ALONE = ("isa", "cores", "runtime")


def imported_rooms(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names |= (
                {f"{node.module}.{alias.name}" for alias in node.names}
                if node.module == "codesign"
                else {node.module or ""}
            )
    return {name.split(".")[1] for name in names if name.startswith("codesign.") and "__version__" not in name}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_left_and_files_stay_small(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    imported = imported_rooms(path) - {room}
    if room == "__init__":
        assert imported == set()
    elif room in ALONE:
        assert imported <= {*ALONE[: ALONE.index(room)]}
    else:
        allowed = {*ROOMS[: ROOMS.index(room)], *ALONE}
        assert imported <= allowed, f"{path} imports from its right"
    assert len(path.read_text().splitlines()) < 300
