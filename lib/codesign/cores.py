"""Which CPUs this process may use, and which of them run TVM's kernels.

A process may be kept to some CPUs (its affinity), and to so much time on them (the quota of a container). TVM knows of
neither: it counts cores from CPU 0, so that threads of processes which were to share a machine meet on the same ones.

TVM is imported only where threads are placed.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from itertools import product
from pathlib import Path
from typing import Any

#: How often a worker of TVM looks for work before it sleeps, 5 to 7 ms: longer than any gap within an inference. With
#: TVM's own 300,000, workers were seen to run on for 140 to 180 ms, on cores that others could use.
SPINS = 10_000

#: Of who waits for a turn, in seconds, beside ten turns.
_PATIENCE_S = 1.0
_VARIABLE = "TVM_NUM_THREADS"
_CPUS = Path("/sys/devices/system/cpu")


class ForkedError(RuntimeError):
    """Threads were started before this process was forked, and are not in it."""


def allowed() -> list[int]:
    """CPUs that this process may use, one of each physical core before any second one."""
    seen: dict[str, int] = {}
    order = []
    for cpu in sorted(os.sched_getaffinity(os.getpid())):  # of the process: a thread may have been pinned since
        core = siblings(cpu)
        order.append((seen.setdefault(core, 0), cpu))
        seen[core] += 1
    return [cpu for _, cpu in sorted(order)]


def siblings(cpu: int) -> str:
    """The logical CPUs that share a physical core with this one."""
    try:
        return (_CPUS / f"cpu{cpu}/topology/thread_siblings_list").read_text(encoding="ascii").strip()
    except OSError:  # some containers hide the topology
        return str(cpu)


def quota(groups: Path = Path("/proc/self/cgroup"), mounts: Path = Path("/sys/fs/cgroup")) -> float | None:
    """CPUs' worth of time that the control groups of this process leave it; None where they set no limit.

    Parameters
    ----------
    groups
        Names the groups: ``0::/path`` (version 2), ``4:cpu,cpuacct:/path`` (version 1).
    mounts
        Where their hierarchies are mounted. In a container it may show the container's own group as its root, under
        which the path that the host knows it by does not exist.

    Returns
    -------
    float | None
        The least of the groups' quotas, each divided by its period.
    """
    try:
        lines = [line.split(":", 2) for line in groups.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return None
    found: list[float] = []
    for _, controllers, path in (line for line in lines if len(line) == 3):
        if controllers and "cpu" not in controllers.split(","):
            continue
        for root in (mounts / controllers, mounts / "cpu") if controllers else (mounts, mounts / "unified"):
            group = root / path.strip("/")
            found += [_limit(each) for each in (group, *group.parents) if each.is_relative_to(root)]
    least = min(found, default=math.inf)
    return None if least == math.inf else least


def _limit(group: Path) -> float:
    """CPUs' worth of time of a group, infinite without a limit; the two versions have different files."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):  # "max" is no number
            limit, period = " ".join((group / name).read_text(encoding="ascii") for name in names).split()
            return int(limit) / int(period) if int(limit) > 0 else math.inf
    return math.inf


def place(cpus: Sequence[int], threads: int) -> None:
    """Place the calling thread on the first of the CPUs, and the workers that TVM starts for it on the others.

    One thread alone may move among them, and so may threads that outnumber them.

    Parameters
    ----------
    cpus
        CPUs to use, at least one.
    threads
        Threads of a parallel kernel, the calling one included.
    """
    import tvm.runtime

    os.environ[_VARIABLE] = str(threads)
    one_each = -2  # TVM's kSpecifyOneCorePerThread
    apart = 1 < threads <= len(cpus)
    chosen = list(cpus)[:threads] if apart else list(cpus)
    tvm.get_global_func("runtime.config_threadpool")(one_each, threads, [str(cpu) for cpu in chosen])
    os.sched_setaffinity(0, chosen[:1] if apart else chosen)


@contextmanager
def _staying() -> Iterator[None]:
    """Let the calling thread run afterwards wherever it may run now."""
    before = os.sched_getaffinity(0)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Turns:
    """Locks of CPUs, for one call at a time: processes that share CPUs take turns on them.

    Left to the scheduler, the threads of two kernels would wait for each other in every one of a model's kernels, some
    milliseconds each. Who waits holds the first lock, so that a process that has just had its turn comes after it.

    Parameters
    ----------
    cpus
        Locked in ascending order, so that processes whose CPUs differ in part cannot wait for each other.
    """

    def __init__(self, cpus: Sequence[int]) -> None:
        names = [f"{min(cpus)}-next", *sorted(cpus)] if cpus else []
        self._locks: list[int] = []
        with contextlib.suppress(OSError):  # a container without a temporary folder runs all the same
            folder = Path(tempfile.gettempdir())
            self._locks = [open_for_all(folder / f"codesign-cpu-{name}.lock") for name in names]
        self._seconds = 0.0  # that the last call took

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for a turn, but not for ever: a process may have been stopped in the middle of its own."""
        held = []
        patience = time.monotonic() + _PATIENCE_S + 10 * self._seconds
        for lock in self._locks:
            if self._locked(lock, patience):
                held.append(lock)
        if held and held[0] == self._locks[0]:
            fcntl.flock(held.pop(0), fcntl.LOCK_UN)
        start = time.monotonic()
        try:
            yield
        finally:
            self._seconds = time.monotonic() - start
            for lock in held:
                fcntl.flock(lock, fcntl.LOCK_UN)

    def _locked(self, lock: int, patience: float) -> bool:
        """Look as often as costs about a hundredth of a call, as waiting for a lock of this kind cannot be ended."""
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() > patience:
                    return False
                time.sleep(min(max(self._seconds / 100, 5e-5), 1e-3))


def open_for_all(path: Path) -> int:
    """Open a lock that all users of the machine share, whatever the umask says."""
    with contextlib.suppress(FileExistsError):
        made = os.open(path, os.O_CREAT | os.O_EXCL, 0o666)
        os.fchmod(made, 0o666)
        os.close(made)
    return os.open(path, os.O_RDWR | os.O_NOFOLLOW)


class Crew:
    """What runs kernels with so many threads in this process, one call at a time.

    TVM's workers belong to the thread that calls them and are never given back. So the thread that made a crew has
    workers, as it had without one, and all other threads share those of one more thread, however many they are.
    """

    _known: dict[int, Crew] = {}  # noqa: RUF012  # shared on purpose
    _making = threading.Lock()
    _one = threading.Lock()  # of all crews: how many threads there are, TVM reads from a variable of the process

    def __init__(self, threads: int) -> None:
        self._threads, self._process, self._claims = threads, os.getpid(), list[int]()
        self._cpus = self._claim(threads)
        self._turns = Turns(self._cpus if self._claims else [])
        self._maker = threading.local()
        self._other: ThreadPoolExecutor | None = None
        with _staying():
            place(self._cpus, threads)
        self._maker.is_here = True

    @classmethod
    def of(cls, threads: int) -> Crew:
        """Return the one of this process that has so many threads, made where there is none."""
        with cls._making:
            crew = cls._known.get(threads)
            if crew is None or crew._process != os.getpid():
                crew = cls._known[threads] = cls(threads)
            return crew

    def run(self, do: Callable[..., Any], *arguments: Any) -> Any:
        """Run something beside the workers, and return or raise what it does; others wait for their turn."""
        if os.getpid() != self._process:
            raise ForkedError("loaded before this process was forked, and threads do not survive that: load it here")
        if getattr(self._maker, "is_here", False):
            return self._now(do, arguments)
        with self._making:
            if self._other is None:
                self._other = ThreadPoolExecutor(1, "codesign", place, (self._cpus, self._threads))
        return self._other.submit(self._now, do, arguments).result()

    def _now(self, do: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        with self._one, _staying():
            os.environ[_VARIABLE] = str(self._threads)
            if self._claims:
                os.sched_setaffinity(0, self._cpus[:1])
            return do(*arguments)

    def turn(self) -> AbstractContextManager[None]:
        """Wait until no other process runs on the same CPUs."""
        return self._turns.taken()

    def _claim(self, threads: int) -> list[int]:
        """CPUs that fewer processes have claimed than the rest, so that processes share a machine evenly.

        A claim is a name that the kernel gives back when the process ends, however it ends.
        """
        cpus = allowed()
        if threads == 1 or threads > len(cpus):
            return cpus
        chosen: list[int] = []
        for turn, cpu in product(range(64), cpus):
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                if cpu in chosen:
                    raise OSError
                claim.bind(f"\0codesign-cpu-{cpu}-{turn}")
            except OSError:  # another process has it, or this one a turn earlier
                claim.close()
                continue
            self._claims.append(claim.detach())  # nobody closes it
            chosen.append(cpu)
            if len(chosen) == threads:
                break
        return chosen if len(chosen) == threads else cpus
