"""What machine this is, who may use it now, and how many threads a process gets.

Timings of different machines are never compared, so every record names its machine by `MachineInfo.machine_id`.
Tuning, training and measuring share one machine-wide lock, `exclusive`: two of them at once make both wrong.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codesign import isa
from codesign.cores import SPINS, allowed, open_for_all, quota, siblings
from codesign.errors import InputError, one_of
from codesign.progress import say

_SYSTEM = Path("/sys/devices/system/cpu")
_CPUS = allowed()  # as the user started us: a thread pinned later must not shrink the machine
_HOLDER = "CODESIGN_MACHINE_HOLDER"  # tells a child process that its parent holds the machine
_WAIT_S = 0.2
# The instruction sets that decide how fast a float32 kernel can be; other CPU flags vary with the kernel version.
_VECTOR_ISA = (
    "sse4_2", "avx", "avx2", "fma", "avx_vnni", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl",
    "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8", "asimd", "asimddp", "sve", "sve2",
)  # fmt: skip


@dataclass(frozen=True)
class MachineInfo:
    """This machine as the fields of a `machine` record: caches in KiB (L1d and L2 of one core; 0 = unknown)."""

    cpu: str
    vendor: str
    isa: list[str]
    cores: int
    threads: int
    l1d_kib: int
    l2_kib: int
    l3_kib: int
    memory_gib: float

    @property
    def machine_id(self) -> str:
        """Eight hex digits: the same for every machine with this CPU, these cores and these caches."""
        fields = dataclasses.asdict(self)
        del fields["memory_gib"]  # what the operating system reserves differs between boots
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:8]


@functools.cache
def describe() -> MachineInfo:
    """Describe the machine, counting only the CPUs that this process may use, and of those no more than its quota.

    Raises
    ------
    InputError
        If the machine is to be masked in a way that does not exist (`codesign.isa.VARIABLE`).
    """
    hidden = isa.mask()
    if hidden is not None:
        one_of(isa.VARIABLE, hidden, isa.MASKS)
    info, flags = isa.cpuinfo(), isa.cpu_flags()
    name = info.get("model name") or platform.processor() or platform.machine()
    return MachineInfo(
        cpu=name if hidden is None else f"{name}, masked to {hidden}",
        vendor=info.get("vendor_id", "unknown"),
        isa=[name for name in _VECTOR_ISA if name in flags],
        cores=_at_most(len({siblings(cpu) for cpu in _CPUS})),
        threads=_at_most(len(_CPUS)),
        **_cache_sizes(_CPUS[0]),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
    )


def _at_most(cpus: int) -> int:
    """CPUs that a quota leaves of so many: a part of one is none, for threads that wait for each other."""
    limit = quota()
    return cpus if limit is None else min(cpus, max(1, int(limit)))


def cpus(threads: int | None = None) -> list[int]:
    """Logical CPUs for `threads` threads (None: all there are), one of each physical core before any second one.

    Raises
    ------
    InputError
        When this process may use fewer CPUs: threads that share one give a timing of nothing.
    """
    here = _CPUS[: _at_most(len(_CPUS))]
    if threads is not None and not 1 <= threads <= len(here):
        nearest = min(max(threads, 1), len(here))
        raise InputError("threads", threads, f"1 to {len(here)}, the CPUs this process may use", nearest)
    return here[:threads]


def thread_environment(threads: int) -> dict[str, str]:
    """Environment that makes every numerical library of a child process use `threads` threads.

    TVM is always told: unset, it takes half of the logical CPUs on x86. Its threads look for work `SPINS` times
    before they sleep. That is long enough for any gap within an inference, and some milliseconds; left to itself, TVM
    looks for a tenth of a second and more, and disturbs whoever comes next.
    """
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TVM_NUM_THREADS")
    told = {"OMP_DYNAMIC": "FALSE", "MKL_DYNAMIC": "FALSE", "TVM_THREAD_POOL_SPIN_COUNT": str(SPINS)}
    return {**dict.fromkeys(names, str(threads)), **told}


def load_average() -> float:
    """Load average over the last minute, recorded beside every timing."""
    return round(os.getloadavg()[0], 2)


def governor() -> str | None:
    """What decides the clock frequency, as in ``performance`` or ``powersave``; None where it cannot be read."""
    try:
        return (_SYSTEM / f"cpu{_CPUS[0]}/cpufreq/scaling_governor").read_text(encoding="ascii").strip() or None
    except OSError:  # virtual machines leave it to their host
        return None


@contextlib.contextmanager
def exclusive(purpose: str) -> Iterator[None]:
    """Hold this machine alone while tuning, training or measuring.

    Waits for another holder, saying who it is. Re-entrant: a process that holds the machine, and every child it
    starts, passes straight through, so that a notebook run under the lock can measure.

    Parameters
    ----------
    purpose
        What the machine is held for, shown to whoever waits.
    """
    lock = open_for_all(Path(tempfile.gettempdir()) / "codesign-machine.lock")
    try:
        if not _acquired(lock):
            yield
            return
        os.environ[_HOLDER] = f"process {os.getpid()}: {purpose}"
        os.pwrite(lock, os.environ[_HOLDER].encode(), 0)
        try:
            yield
        finally:
            del os.environ[_HOLDER]
            os.ftruncate(lock, 0)
    finally:
        os.close(lock)


def _acquired(lock: int) -> bool:
    """Take the lock (True), waiting if need be, or find that this process or its parent holds it (False)."""
    told = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(lock, 0)  # a holder that was killed has left its name
            return True
        except BlockingIOError:
            holder = os.pread(lock, 1000, 0).decode()  # nothing while a new one is about to write its name
        if holder and holder == os.environ.get(_HOLDER):
            return False
        if holder and not told:
            say(f"waiting for this machine, held by {holder}")
            told = True
        time.sleep(_WAIT_S)


def _cache_sizes(cpu: int) -> dict[str, int]:
    sizes = {"l1d_kib": 0, "l2_kib": 0, "l3_kib": 0}
    for index in (_SYSTEM / f"cpu{cpu}/cache").glob("index[0-9]*"):
        level, kind, size = ((index / name).read_text(encoding="ascii").strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            sizes["l1d_kib" if level == "1" else f"l{level}_kib"] = int(size.removesuffix("K"))
    return sizes
