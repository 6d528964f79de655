"""Engines in real worker processes, on a small real encoder."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from codesign import engines, machine
from codesign.engines import Job
from codesign.engines.client import EngineError, Worker, WorkerDied
from codesign.errors import InputError

THREADS = min(2, len(machine.cpus()))


def job(tiny, engine: str, artifact: str | None = None) -> Job:
    return Job(engine, str(tiny.checkpoint), artifact, str(tiny.inputs), THREADS)


def cpu_seconds(pid: int) -> float:
    """CPU time that all threads of a process have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("engine", ["torch-eager", "openvino"])
def test_engine_computes_what_pytorch_computes(tiny, engine: str) -> None:
    with Worker(job(tiny, engine)) as worker:
        assert worker.prepare()["settings"] == engines.find(engine).settings(worker.job)
        output, call_ns = worker.output()
        samples, discarded = worker.run(calls=4, discard=3)
        again, _ = worker.output()
        time.sleep(0.3)
        before = cpu_seconds(worker.pid)
        time.sleep(0.3)
        assert cpu_seconds(worker.pid) - before < 0.1  # it rests while others are timed: nobody spins
    expected = np.load(tiny.expected)
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, expected, atol=1e-5)
    np.testing.assert_array_equal(output, again)
    assert (len(samples), len(discarded)) == (4, 3)
    assert min(*samples, *discarded, call_ns) > 0


def test_a_tvm_engine_needs_an_artifact_and_survives_a_bad_one(tiny, tmp_path: Path) -> None:
    with Worker(job(tiny, "tvm-bsr")) as worker, pytest.raises(EngineError, match="02_compile builds it"):
        worker.prepare()
    with Worker(job(tiny, "tvm-bsr", str(tmp_path / "absent"))) as worker:
        with pytest.raises(EngineError, match="tvm-bsr could not prepare"):
            worker.prepare()
        with pytest.raises(EngineError, match="nothing is prepared"):  # it still answers
            worker.run(calls=1, discard=1)


def test_a_killed_worker_is_reported_with_its_last_words(tiny) -> None:
    with Worker(job(tiny, "tvm-bsr")) as worker:
        with pytest.raises(EngineError):
            worker.prepare()  # leaves a traceback on stderr
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(WorkerDied, match=r"(?s)tvm-bsr died while asked to run \(killed by SIGKILL\).*InputError"):
            worker.run(calls=1, discard=1)


def test_a_worker_keeps_to_as_many_cpus_as_it_has_threads(tiny) -> None:
    with Worker(Job("torch-eager", "", None, "", 1)) as worker:
        assert os.sched_getaffinity(worker.pid) == set(machine.cpus(1))


def test_closing_ends_the_process(tiny) -> None:
    with Worker(job(tiny, "torch-eager")) as worker:
        assert Path(f"/proc/{worker.pid}").exists()
    assert not Path(f"/proc/{worker.pid}").exists()


def test_a_worker_does_not_outlive_the_process_that_started_it(tiny) -> None:
    code = """
import signal, os
from codesign.engines.client import Job, Worker
print(Worker(Job("torch-eager", "", None, "", 1)).pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    worker = Path(f"/proc/{parent.communicate()[0].strip()}")
    deadline = time.monotonic() + 30
    while worker.exists() and "State:\tZ" not in (worker / "status").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_more_threads_than_cpus_are_refused_before_anything_starts(tiny) -> None:
    with pytest.raises(InputError, match="threads=4096"):
        Worker(Job("torch-eager", str(tiny.checkpoint), None, str(tiny.inputs), 4096))


def test_an_unknown_engine_gets_the_nearest_name() -> None:
    with pytest.raises(InputError, match="did you mean openvino"):
        engines.find("open-vino")


def test_the_registry_imports_no_engine() -> None:
    """Neither the measuring process nor a TVM worker may have another engine's threads in it."""
    code = "import sys, codesign.engines.worker; print(sorted({'torch', 'openvino', 'tvm'} & sys.modules.keys()))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_what_a_library_prints_is_not_an_answer(tiny) -> None:
    code = """
import os, sys
from codesign import engines, machine
from codesign.engines import worker
class Chatty:
    name = "chatty"
    def prepare(self, job):
        print("hello"); os.write(1, b"hello from C\\n")
        return lambda: None
    def settings(self, job): return {}
engines.ENGINES["chatty"] = Chatty()
worker.main()
"""
    job = dataclasses.asdict(Job("chatty", "", None, "", 1))
    request = json.dumps({"do": "prepare", "job": job}) + "\n"
    done = subprocess.run([sys.executable, "-c", code], input=request, capture_output=True, text=True, check=True)
    assert done.stdout.startswith('{"seconds"')
    assert len(done.stdout.splitlines()) == 1
    assert "hello from C" in done.stderr
