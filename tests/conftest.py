"""Settings for every test."""

import atexit
import contextlib
import faulthandler
import os
import shutil
import signal
import sys
import tempfile
import threading

import psutil
import pytest
import pytest_timeout

# Before any library reads it: no test may need a network, and a mistyped model name must fail at once.
os.environ["HF_HUB_OFFLINE"] = "1"

# Whoever measures holds a lock in the folder of temporary files. Times of tests count for nothing, so the processes of
# pytest need not wait for each other; what they leave behind goes with the folder.
tempfile.tempdir = os.environ["TMPDIR"] = tempfile.mkdtemp(prefix="codesign-tests-")
atexit.register(shutil.rmtree, tempfile.tempdir, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the file that takes longest: two workers are done at about the same time."""
    items.sort(key=lambda item: item.path.parent.name != "notebooks")


CLOCK = pytest.StashKey[threading.Timer]()


def pytest_timeout_set_timer(item: pytest.Item, settings: pytest_timeout.Settings) -> bool:
    """Start the clock of a test, instead of pytest-timeout, whose report a worker has nowhere to print."""
    item.stash[CLOCK] = clock = threading.Timer(settings.timeout, end, (item, settings))
    clock.daemon = True
    clock.start()
    return True


def pytest_timeout_cancel_timer(item: pytest.Item) -> bool:
    if CLOCK in item.stash:
        item.stash[CLOCK].cancel()
        item.stash[CLOCK].join()  # where it rang at the last moment, this test is the one to name
    return True


def end(item: pytest.Item, settings: pytest_timeout.Settings) -> None:
    """Say which test hangs, where, and what it printed; then end the process it runs in, and all that it started.

    A forked process has the pipe open on which pytest waits for the worker's end.
    """
    if not settings.disable_debugger_detection and pytest_timeout.is_debugging():
        return
    try:
        capture = item.config.pluginmanager.getplugin("capturemanager")
        capture.suspend_global_capture(in_=True)
        lines = f"\n{item.nodeid}: not done after {settings.timeout:g} seconds", *capture.read_global_capture()
        print(*lines, sep="\n", file=sys.__stderr__, flush=True)
        faulthandler.dump_traceback(sys.__stderr__)
        started = [child.pid for child in psutil.Process().children(recursive=True)]
        for pid in started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    finally:
        os._exit(1)
