"""Folders that appear complete or not at all, whatever happens to the program that fills them; those of packages."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from codesign.errors import InputError


@contextlib.contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """Give a new, empty folder to fill; it takes the place of ``out`` when the block ends without an error.

    It is made beside ``out``, under a hidden name, so that both are on one file system. A program that is killed
    leaves it there; whoever fills ``out`` next removes what no living program is filling. If the block fails, ``out``
    stays as it was.

    Parameters
    ----------
    out
        A folder, or nothing yet; the folders above it are made.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    hidden = f".{out.name}.partial-"
    with contextlib.ExitStack() as held:
        with _locked(out.parent):  # a new hidden folder is not locked at once
            for left in [path for path in out.parent.iterdir() if path.name.startswith(hidden)]:
                with contextlib.suppress(OSError), _locked(left, fcntl.LOCK_NB):  # else a living program fills it
                    shutil.rmtree(left, ignore_errors=True)
            scratch = Path(tempfile.mkdtemp(prefix=hidden, dir=out.parent))
            held.enter_context(_locked(scratch))
        held.callback(shutil.rmtree, scratch, ignore_errors=True)
        new = scratch / "new"
        new.mkdir()
        yield new
        if out.exists():
            out.rename(scratch / "old")
        new.rename(out)


@contextlib.contextmanager
def _locked(folder: Path, how: int = 0) -> Iterator[None]:
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | how)
        yield
    finally:
        os.close(lock)


def package_folder(package: str) -> Path:
    """Folder of an installed package, found without importing it.

    Raises
    ------
    InputError
        If it is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise InputError("package", package, "an installed package")
    return Path(spec.origin).parent
