"""Settings for every test."""

import atexit
import os
import shutil
import sys
import tempfile

import pytest

# Before any library reads it: no test may need a network, and a mistyped model name must fail at once.
os.environ["HF_HUB_OFFLINE"] = "1"

# Whoever measures holds a lock in the folder of temporary files. Times of tests count for nothing, so the processes of
# pytest need not wait for each other; what they leave behind goes with the folder.
tempfile.tempdir = os.environ["TMPDIR"] = tempfile.mkdtemp(prefix="codesign-tests-")
atexit.register(shutil.rmtree, tempfile.tempdir, ignore_errors=True)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Let a worker show where a test hung: what it prints goes nowhere, what is on stderr is seen."""
    if hasattr(session.config, "workerinput"):
        session.config.get_terminal_writer()._file = sys.__stderr__
