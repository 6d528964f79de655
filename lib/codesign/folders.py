"""Folders that appear complete or not at all, whatever happens to the program that fills them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


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
    with _locked(out) as scratch:
        new = scratch / "new"
        new.mkdir()
        yield new
        if out.exists():
            out.rename(scratch / "old")
        new.rename(out)


@contextlib.contextmanager
def _locked(out: Path) -> Iterator[Path]:
    """Give a hidden folder beside ``out`` that is this program's while it lives."""
    hidden = f".{out.name}.partial-"
    with _turn(out.parent):
        for path in out.parent.iterdir():
            if path.name.startswith(hidden):
                _remove_if_left(path)
        scratch = Path(tempfile.mkdtemp(prefix=hidden, dir=out.parent))
        lock = _open(scratch)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(lock)


@contextlib.contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Hold a folder while looking through it: a new hidden folder is not locked at once."""
    lock = _open(folder)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _remove_if_left(path: Path) -> None:
    try:
        lock = _open(path)
    except (FileNotFoundError, NotADirectoryError):  # its program has finished since, or it is none of ours
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
