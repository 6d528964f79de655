"""Worker processes that build and time candidates: one that crashes or hangs takes only its worker along.

TVM's pool starts another worker then. Its workers import TVM, which imports PyTorch wherever that is installed, and
that is most of their start; no candidate needs it, so it is kept from them.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any, ClassVar, Self

from codesign import machine
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import PopenPoolExecutor, PopenWorker
from codesign.cores import allowed, place

_TIMEOUT_S = 60.0  # of a call, which begins when its worker has started
#: To Python, a module that is None cannot be imported.
_MAIN = "import sys; sys.modules['torch'] = None; from tvm.exec.popen_worker import main; main()"


class Workshop:
    """Worker processes in which candidates for one target are built and run, and a folder for what is built.

    They stay until it is left. (TVM's own builder starts new ones for every batch, 20 s each.) One inside another has
    the same processes, which take seconds to start: whoever tunes several times opens one around it.
    """

    _open: ClassVar[dict[tuple[object, int], PopenPoolExecutor]] = {}

    def __init__(self, spec: TargetSpec) -> None:
        self.spec = spec

    def __enter__(self) -> Self:
        self._left = contextlib.ExitStack()
        scratch = tempfile.TemporaryDirectory(prefix="codesign-kernels-", ignore_cleanup_errors=True)
        self.folder = self._left.enter_context(scratch)
        self.builders = self._pool(builders, machine.describe().cores)
        self.runner = self._pool(runner, self.spec.threads)
        return self

    def __exit__(self, *error: object) -> None:
        self._left.close()

    def _pool(self, make: Callable[[int], PopenPoolExecutor], count: int) -> PopenPoolExecutor:
        if (make, count) not in self._open:
            self._open[make, count] = make(count)
            self._left.callback(lambda: self._open.pop((make, count)).shutdown())
        return self._open[make, count]


def builders(count: int) -> PopenPoolExecutor:
    """Worker processes that compile, each with one thread; a call that takes over a minute ends in a TimeoutError."""
    return _Pool(count, timeout=_TIMEOUT_S, initializer=_start_builder)


def runner(threads: int, timeout: float = _TIMEOUT_S) -> PopenPoolExecutor:
    """The one worker process that runs what was built: two at a time would disturb each other.

    Parameters
    ----------
    threads
        Threads of TVM's own pool in it, one on each core.
    timeout
        Seconds after which a call ends in a TimeoutError.
    """
    return _Pool(1, timeout=timeout, initializer=_start_runner, initargs=(threads,))


def outcome(call: Any) -> tuple[Any, str | None]:
    """Result of a call to a worker, or None and the reason: whatever a candidate does to its worker is its outcome."""
    try:
        return call.result(), None
    except Exception as error:
        return None, f"{type(error).__name__}: {error}".strip().splitlines()[-1][:200]  # of the worker's traceback


def _start_builder() -> None:
    os.environ["TVM_NUM_THREADS"] = "1"


def _start_runner(threads: int) -> None:
    """Set the number of threads and place them, before TVM's pool starts."""
    place(allowed(), threads)


class _Pool(PopenPoolExecutor):
    """A pool of `_Worker`. Each thread of a pool has a worker of its own, which it would make at its first call."""

    def _worker_run(self, fn: Any, args: Any, kwargs: Any) -> Any:
        with self._lock:
            self._worker_map.setdefault(threading.get_ident(), _Worker(self._initializer, self._initargs))
        return super()._worker_run(fn, args, kwargs)


class _Worker(PopenWorker):
    """A worker without PyTorch."""

    _proc: subprocess.Popen[bytes] | None

    def _start(self) -> None:
        if self._proc is not None:
            return
        from_worker, to_parent = os.pipe()
        from_parent, to_worker = os.pipe()
        command = [sys.executable, "-c", _MAIN, str(from_parent), str(to_parent)]
        self._proc = subprocess.Popen(command, pass_fds=(from_parent, to_parent))
        os.close(from_parent)
        os.close(to_parent)
        self._reader, self._writer = os.fdopen(from_worker, "rb"), os.fdopen(to_worker, "wb")
