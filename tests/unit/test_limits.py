"""A test that dies or hangs ends the whole run, which names it: with the options of `make test`, in a small project."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from codesign.records import REPOSITORY

CALL = re.compile(r"-m pytest( --numprocesses.*?)(?: tests/\S+)?$", re.MULTILINE)
#: What a test does -> what the run says besides its name. A forked process outlives its parent, and has its pipes open;
#: ``PyDLL`` keeps the interpreter's lock while it sleeps.
ENDS = {
    "os._exit(0)": "crashed while running",
    "os.abort()": "crashed while running",
    "os.fork() and os.wait() or time.sleep(300)": "test_one.py::test_ends: not done after 2 seconds",
    "ctypes.PyDLL(None).sleep(300)": "in test_ends",
}
ALONE = "print('so far'); time.sleep(300)"
#: A file in which tests wait behind the one that ends, as they do in a worker's queue; and one for the other worker.
FILE = """
import ctypes, os, time
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


def run(folder: Path, ends: str, seconds: int, how: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the small project, with limits of seconds in place of minutes."""
    shutil.copy(REPOSITORY / "tests" / "conftest.py", folder)
    (folder / "test_one.py").write_text(FILE.format(ends=ends))
    (folder / "test_other.py").write_text(OTHER.format(seconds=seconds))
    ours = ["-c", str(REPOSITORY / "pyproject.toml"), "--rootdir", str(folder), *how]
    ours += ["-p", "xdist.plugin", "-p", "xdist.looponfail", "-p", "pytest_timeout"]  # and no other plugin
    limits = ["--timeout", "2", "--override-ini", "faulthandler_timeout=6", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *ours, *limits, str(folder)],
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[subprocess.CompletedProcess[str]]]]:
    """Every run, beside the others: most of their time is spent waiting."""
    how = {ends: (3 if ends == "os.abort()" else 0, options()) for ends in ENDS} | {ALONE: (0, [])}
    with ThreadPoolExecutor(len(how)) as pool:
        yield {ends: pool.submit(run, tmp_path_factory.mktemp("project"), ends, *each) for ends, each in how.items()}


@pytest.mark.parametrize("ends", ENDS)
def test_a_test_that_ends_its_worker_ends_the_run_by_name(ended: dict, ends: str) -> None:
    done = ended[ends].result()
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"worker 'gw\d' crashed while running '\S*test_one\.py::test_ends'", done.stdout)
    assert ENDS[ends] in done.stdout + done.stderr
    assert "test_after" not in done.stdout, "no other worker was given what the dead one left"


def test_without_workers_a_test_that_hangs_is_named_too(ended: dict) -> None:
    done = ended[ALONE].result()
    assert done.returncode == 1, done.stdout + done.stderr
    assert "test_one.py::test_ends: not done after 2 seconds\nso far\n" in done.stderr
    assert "in test_ends" in done.stderr


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
