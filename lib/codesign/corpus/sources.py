"""Docstrings of installed packages, read from their source files; nothing is imported."""

from __future__ import annotations

import ast
import importlib.util
import sysconfig
from collections.abc import Collection, Iterator
from pathlib import Path

from codesign.errors import InputError

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

#: Name that stands for the standard library, which is no package.
STANDARD_LIBRARY = "python"


def root_of(package: str) -> Path:
    """Folder of an installed package, or of the standard library (`STANDARD_LIBRARY`).

    Raises
    ------
    InputError
        If it is not installed.
    """
    if package == STANDARD_LIBRARY:
        return Path(sysconfig.get_path("stdlib"))
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise InputError("package", package, "an installed package")
    return Path(spec.origin).parent


def docstrings(root: Path, skip: Collection[str]) -> Iterator[tuple[str, str]]:
    """Read every docstring of a package.

    Parameters
    ----------
    root
        Folder of the package.
    skip
        Names of folders below it that are left out.

    Yields
    ------
    tuple[str, str]
        Path of the module below ``root``, with slashes and suffix, and the docstring without its indentation. In the
        order of paths, so that it does not depend on the file system.
    """
    for path in sorted(root.rglob("*.py")):
        module = path.relative_to(root)
        if not set(skip).intersection(module.parts[:-1]):
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)):
                    yield module.as_posix(), text
