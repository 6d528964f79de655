"""A test that dies or hangs ends the whole run, which names it: with the options of `make test`, in a small project."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from codesign.records import REPOSITORY

CALL = re.compile(r"-m pytest( --numprocesses.*?)(?: tests/\S+)?$", re.MULTILINE)
#: What a test does -> what the run says besides its name. ``PyDLL`` keeps the interpreter's lock while it sleeps.
ENDS = {
    "os.kill(os.getpid(), signal.SIGKILL)": "crashed while running",
    "time.sleep(1000)": "in test_ends",
    "ctypes.PyDLL(None).sleep(1000)": "in test_ends",
}
#: A file in which tests wait behind the one that ends, as they do in a worker's queue; and one for the other worker.
FILE = """
import ctypes, os, signal, time
def test_before(): pass
def test_ends(): {ends}
def test_after(): pass
def test_long_after(): pass
def test_last(): pass
"""
OTHER = "import time\ndef test_elsewhere(): time.sleep({seconds})\n"


def options() -> list[str]:
    """Options of `make test`; CI's call for the built pages has the same."""
    found = {
        tuple(shlex.split(each))
        for name in ("Makefile", ".ci/run")
        for each in CALL.findall((REPOSITORY / name).read_text())
    }
    assert len(found) == 1, found
    return list(found.pop())


@pytest.mark.parametrize("seconds", [0, 3], ids=["alone", "beside another"])
@pytest.mark.parametrize("ends", ENDS)
def test_a_test_that_ends_its_worker_ends_the_run_by_name(tmp_path: Path, ends: str, seconds: int) -> None:
    shutil.copy(REPOSITORY / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_one.py").write_text(FILE.format(ends=ends))
    (tmp_path / "test_other.py").write_text(OTHER.format(seconds=seconds))
    limits = ["--timeout", "2", "--override-ini", "faulthandler_timeout=6", "-p", "no:cacheprovider"]
    ours = ["-c", str(REPOSITORY / "pyproject.toml"), "--rootdir", str(tmp_path), *options()]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *ours, *limits, str(tmp_path)],
        env=inherited,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"worker 'gw\d' crashed while running '\S*test_one\.py::test_ends'", done.stdout)
    assert ENDS[ends] in done.stdout + done.stderr
    assert "test_after" not in done.stdout, "no other worker was given what the dead one left"


def test_the_run_waits_longer_than_any_mark_allows() -> None:
    """`faulthandler` ends what pytest-timeout cannot, and knows no marks."""
    marks = [
        int(seconds)
        for path in (REPOSITORY / "tests").rglob("*.py")
        for seconds in re.findall(r"mark\.timeout\((\d+)\)", path.read_text())
    ]
    settings = (REPOSITORY / "pyproject.toml").read_text()
    (last,) = re.findall(r"^faulthandler_timeout = (\d+)$", settings, re.MULTILINE)
    assert marks
    assert int(last) > max(marks)
