"""Which CPUs a process gets: quotas of containers, claims of processes, threads in their places."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from codesign import cores

V2 = "0::/system.slice/app.scope\n"
V1 = "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n"


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        (V2, {}, None),
        (V2, {"system.slice/app.scope/cpu.max": "max 100000\n"}, None),
        (V2, {"system.slice/app.scope/cpu.max": "150000 100000\n"}, 1.5),
        (V2, {"system.slice/app.scope/cpu.max": "max 100000\n", "system.slice/cpu.max": "200000 100000\n"}, 2.0),
        (V2, {"system.slice/app.scope/cpu.max": "400000 100000\n", "system.slice/cpu.max": "50000 50000\n"}, 1.0),
        (V2, {"cpu.max": "300000 100000\n"}, 3.0),  # a container: its own group is the root that it sees
        (V2, {"system.slice/app.scope/cpu.max": "what\n"}, None),
        (V1, {"cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "-1", "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "1"}, None),
        (V1, {"cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "9", "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "6"}, 1.5),
        (V1, {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2.0),
        (V1, {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "0"}, None),
        ("nonsense\n", {"cpu.max": "100000 100000\n"}, None),
    ],
)
def test_the_least_quota_of_all_groups_counts(
    tmp_path: Path, groups: str, files: dict[str, str], expected: float | None
) -> None:
    (tmp_path / "groups").write_text(groups)
    assert cores.quota(tmp_path / "groups", tree(tmp_path / "mounts", files)) == expected
    assert cores.quota(tmp_path / "absent", tmp_path) is None


#: Where control groups are made, and the files that limit one to one CPU: version 2, and version 1 on older systems.
REAL = [
    (Path("/sys/fs/cgroup"), {"cpu.max": "100000 100000"}),
    (Path("/sys/fs/cgroup/cpu"), {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "100000"}),
]


@pytest.mark.parametrize(("root", "limits"), REAL, ids=["v2", "v1"])
def test_a_real_quota_of_one_cpu_leaves_one_thread(root: Path, limits: dict[str, str]) -> None:
    group = root / f"codesign-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        if not all((group / name).exists() for name in limits):
            pytest.skip("no controller for CPUs here")
        for name, text in limits.items():
            (group / name).write_text(text)
        code = (
            f"import os; open({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
            "from codesign import machine\n"
            "print(machine.describe().cores, machine.describe().threads, machine.quota(), *machine.cpus())"
        )
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert said.startswith("1 1 1.0 ")
        assert len(said.split()) == 4
    finally:
        group.rmdir()


PLACED = """
import json, os, sys
from concurrent.futures import ThreadPoolExecutor
from codesign import cores
from codesign.runtime import without_torch
where = lambda: sorted(os.sched_getaffinity(0))
with without_torch(), ThreadPoolExecutor(1) as other:
    for crew in map(cores.Crew.of, map(int, sys.argv[1:])):
        print(json.dumps([where(), crew.run(where), other.submit(crew.run, where).result(), where()]))
"""


@pytest.mark.skipif(len(cores.allowed()) < 2, reason="needs two CPUs")
def test_who_calls_is_kept_to_a_cpu_for_the_call_alone_and_one_thread_may_move() -> None:
    everywhere = sorted(cores.allowed())
    sizes = (1, 2, len(everywhere) + 1)
    done = subprocess.run(
        [sys.executable, "-c", PLACED, *map(str, sizes)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for threads, (before, maker, other, after) in zip(sizes, map(json.loads, done), strict=True):
        assert before == after == everywhere
        assert maker == other == (everywhere[:1] if threads == 2 else everywhere)


def test_claims_go_around_and_end_with_their_process(monkeypatch: pytest.MonkeyPatch) -> None:
    one = 1000 + 10 * os.getpid()  # of no machine, and of no other test at the same time
    two, three, four = one + 2, one + 1, one + 3
    monkeypatch.setattr(cores, "allowed", lambda: [one, two, three, four])
    claim = cores.Crew._claim
    first, second, third = (object.__new__(cores.Crew) for _ in range(3))
    for crew in (first, second, third):
        crew._claims = []
    assert claim(first, 2) == [one, two]
    assert claim(second, 2) == [three, four]
    assert claim(third, 3) == [one, two, three], "all are taken: a second turn begins"
    for each in first._claims:
        os.close(each)
    assert claim(object.__new__(cores.Crew), 9) == [one, two, three, four], "more threads than CPUs claim none"
    first._claims = []
    assert claim(first, 2) == [one, two]


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of locks for each test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_calls_on_the_same_cpus_take_turns_and_others_do_not_wait(locks: Path) -> None:
    running, most = [0], [0]

    def call(turns: cores.Turns) -> None:
        for _ in range(30):
            with turns.taken():
                running[0] += 1
                most[0] = max(most[0], running[0])
                time.sleep(1e-3)
                running[0] -= 1

    threads = [threading.Thread(target=call, args=(cores.Turns(cpus),)) for cpus in ([0, 1], [1, 0], [1, 2])]
    for thread in threads:
        thread.start()
    with cores.Turns([7, 8]).taken():
        for thread in threads:
            thread.join()
    assert most == [1]
    assert {path.stat().st_mode & 0o777 for path in locks.iterdir()} == {0o666}, "for all users of the machine"


def test_who_was_stopped_in_its_turn_is_not_waited_for_for_ever(locks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_PATIENCE_S", 0.05)
    with cores.Turns([0, 1]).taken():
        passed = []
        with cores.Turns([0, 1]).taken():
            passed.append(True)
        with cores.Turns([]).taken():
            passed.append(True)
    assert passed == [True, True]
    free = cores.Turns([0, 1])
    with free.taken():
        assert not free._locked(cores.open_for_all(locks / "codesign-cpu-0.lock"), 0.0)


def test_without_a_temporary_folder_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with cores.Turns([0, 1]).taken(), cores.Turns([0, 1]).taken():
        pass


FORKED = """
import os
from codesign import cores
from codesign.runtime import without_torch
with without_torch():
    crew = cores.Crew.of(1)
if os.fork():
    os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
try:
    crew.run(int)
except cores.ForkedError:
    os._exit(3 if cores.Crew.of(1).run(int) == 0 else 2)
"""


def test_what_was_started_before_a_fork_says_so_and_a_new_one_can_be_had() -> None:
    assert subprocess.run([sys.executable, "-c", FORKED]).returncode == 3
