"""What machine this is, and that only one may use it."""

import dataclasses
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from codesign import cores, machine
from codesign.errors import InputError

HOLDER = "CODESIGN_MACHINE_HOLDER"
HOLD = "from codesign import machine\nwith machine.exclusive('a test'): print('held', flush=True); input()"


@pytest.fixture(autouse=True)
def private_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock for each test: none finds what another has left in it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.delenv(HOLDER, raising=False)


def python(code: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_describes_this_machine() -> None:
    info = machine.describe()
    assert info.threads == len(os.sched_getaffinity(0))
    assert 1 <= info.cores <= info.threads
    assert info.memory_gib > 0.5
    assert len(info.machine_id) == 8
    assert set(dataclasses.asdict(info)) == {
        *("cpu", "vendor", "isa", "cores", "threads", "l1d_kib", "l2_kib", "l3_kib", "memory_gib")
    }


def test_machine_id_ignores_memory_and_nothing_else() -> None:
    info = machine.describe()
    assert dataclasses.replace(info, memory_gib=1.0).machine_id == info.machine_id
    assert dataclasses.replace(info, l2_kib=7).machine_id != info.machine_id
    assert dataclasses.replace(info, isa=["avx2"]).machine_id != info.machine_id


def test_a_pinned_thread_does_not_shrink_the_machine() -> None:
    def pin_and_look() -> None:
        os.sched_setaffinity(0, machine.cpus(1))  # of this thread only
        seen.append(machine.describe.__wrapped__())

    seen: list[machine.MachineInfo] = []
    thread = threading.Thread(target=pin_and_look)
    thread.start()
    thread.join()
    assert seen == [machine.describe()]


def test_cpus_take_every_core_before_a_second_thread_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(cores, "siblings", lambda cpu: "0-1" if cpu < 2 else "2-3")
    monkeypatch.setattr(machine, "_CPUS", cores.allowed())
    assert machine.cpus() == [0, 2, 1, 3]
    assert machine.cpus(2) == [0, 2]


@pytest.mark.parametrize(("quota", "threads"), [(None, 4), (0.5, 1), (1.0, 1), (2.9, 2), (64.0, 4)])
def test_a_quota_leaves_whole_cpus_and_at_least_one(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, threads: int
) -> None:
    monkeypatch.setattr(machine, "_CPUS", [0, 1, 2, 3])
    monkeypatch.setattr(machine, "siblings", str)
    monkeypatch.setattr(machine, "quota", lambda: quota)
    info = machine.describe.__wrapped__()
    assert (info.cores, info.threads, len(machine.cpus())) == (threads,) * 3
    with pytest.raises(InputError, match=f"did you mean {threads}"):
        machine.cpus(threads + 1)


@pytest.mark.parametrize(("threads", "nearest"), [(0, 1), (-3, 1), (3, 2)])
def test_more_threads_than_cpus_are_refused(monkeypatch: pytest.MonkeyPatch, threads: int, nearest: int) -> None:
    monkeypatch.setattr(machine, "_CPUS", [0, 1])
    with pytest.raises(InputError, match=f"threads={threads} .*1 to 2.*did you mean {nearest}"):
        machine.cpus(threads)


def test_thread_environment_always_tells_tvm() -> None:
    assert machine.thread_environment(3)["TVM_NUM_THREADS"] == "3"
    assert machine.thread_environment(3)["OMP_NUM_THREADS"] == "3"
    assert 0 < int(machine.thread_environment(3)["TVM_THREAD_POOL_SPIN_COUNT"]) < 300_000  # TVM's own choice


def test_one_process_waits_for_the_other_and_says_for_whom() -> None:
    first = python(HOLD)
    assert read_line(first) == "held"
    second = python(HOLD)
    assert second.stderr is not None
    assert f"held by process {first.pid}: a test" in second.stderr.readline()
    assert second.poll() is None
    first.communicate("\n")
    assert read_line(second) == "held"
    assert second.communicate("\n")
    assert (first.returncode, second.returncode) == (0, 0)


def test_a_killed_holder_frees_the_machine() -> None:
    first = python(HOLD)
    assert read_line(first) == "held"
    first.kill()
    first.communicate()
    with machine.exclusive("the next"):
        pass


def test_children_and_the_process_itself_pass_through() -> None:
    with machine.exclusive("outer"):
        with machine.exclusive("inner"):
            child = python(HOLD)
            assert read_line(child) == "held"
            child.communicate("\n")
        stranger = python(f"import os; del os.environ['{HOLDER}']\n" + HOLD)
        assert stranger.stderr is not None
        assert "outer" in stranger.stderr.readline()  # the inner hold did not give the machine away
    assert read_line(stranger) == "held"
    stranger.communicate("\n")
    assert HOLDER not in os.environ
