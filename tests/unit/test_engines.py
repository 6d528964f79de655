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
import torch

from codesign import engines, machine
from codesign.blocks import BlockShape
from codesign.encoder import load_encoder, save_checkpoint
from codesign.engines import Job
from codesign.engines.client import EngineError, EngineRefused, Worker, WorkerDied
from codesign.errors import InputError
from codesign.forward import EncoderForward
from codesign.prune import prune_model

THREADS = min(2, len(machine.cpus()))
#: Largest error against PyTorch that rounding explains on two layers.
TOLERANCE = {"fp32": 1e-5, "bf16": 0.1}


def job(tiny, engine: str, artifact: str | None = None, block: str = "dense") -> Job:
    if reason := engines.find(engine).unavailable():
        pytest.skip(reason)
    return Job(engine, str(tiny.checkpoint), artifact, str(tiny.inputs), THREADS, block)


def cpu_seconds(pid: int) -> float:
    """CPU time that all threads of a process have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="session")
def squares(tiny, tmp_path_factory: pytest.TempPathFactory):
    """bert-tiny with four fifths of its 32x32 blocks removed."""
    folder = tmp_path_factory.mktemp("squares")
    case = dataclasses.replace(tiny, checkpoint=folder / "checkpoint", expected=folder / "expected.npy")
    model = load_encoder("bert-tiny", seed=1)
    prune_model(model, scope="all", pruner="magnitude", block=BlockShape(32, 32), sparsity=0.8, seed=0)
    save_checkpoint(model, case.checkpoint, {})
    with np.load(case.inputs) as arrays:
        assert arrays["token_type_ids"].any()  # or no engine is asked about segments
        inputs = [torch.from_numpy(array) for array in arrays.values()]
    np.save(case.expected, EncoderForward(model)(*inputs).numpy())
    return case


@pytest.mark.parametrize("engine", [name for name in engines.ENGINES if not name.startswith("tvm-")])
def test_engine_computes_what_pytorch_computes(squares, engine: str) -> None:
    tiny, format_ = squares, engines.find(engine).format
    with Worker(job(tiny, engine, block="32x32")) as worker:
        try:
            answer = worker.prepare()
        except EngineRefused as refusal:
            pytest.skip(str(refusal))
        assert answer["settings"] == engines.find(engine).settings(worker.job)
        assert answer["disk_bytes"] > 4 * 128 * 1000  # at least the word embeddings
        output, call_ns = worker.output()
        assert worker.peak_rss_bytes() > 4 * 128 * 1000
        samples, discarded = worker.run(calls=4, discard=3)
        again, _ = worker.output()
        time.sleep(0.3)
        before = cpu_seconds(worker.pid)
        time.sleep(0.3)
        assert cpu_seconds(worker.pid) - before < 0.1  # it rests while others are timed: nobody spins
    expected = np.load(tiny.expected)
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, expected, atol=TOLERANCE[format_])
    assert format_ == "fp32" or np.abs(output - expected).max() > TOLERANCE["fp32"]  # it is what it says
    np.testing.assert_array_equal(output, again)
    assert (len(samples), len(discarded)) == (4, 3)
    assert min(*samples, *discarded, call_ns) > 0


class OneLayer(torch.nn.Module):
    """A linear layer under the name that engines call an encoder by: PyTorch compiles it in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(32, 32).requires_grad_(False)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.linear(ids.float()) * mask.float()


# PyTorch's own compiler comes across both in its own code.
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated:UserWarning:torch._inductor")
@pytest.mark.parametrize(("engine", "frozen"), [("torch-compile", True), ("torch-eager", False)])
def test_what_is_compiled_holds_weights_of_its_own(engine: str, frozen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")  # the engine sets it, for good
    model, inputs = OneLayer().eval(), [torch.arange(512).reshape(16, 32), torch.ones(16, 32, dtype=torch.int64)]
    with torch.inference_mode():
        call = engines.find(engine).adapt(model, inputs, Job(engine, "", None, "", 1))
        before = call(*inputs).clone()
        np.testing.assert_allclose(before, model(*inputs), rtol=1e-5, atol=1e-3)
        model.linear.weight.mul_(2)
        assert torch.equal(call(*inputs), before) == frozen


def test_a_shape_that_pytorch_has_no_kernel_for_is_refused_with_its_reason(squares) -> None:
    with Worker(job(squares, "torch-bsr", block="32x1")) as worker, pytest.raises(EngineRefused) as refusal:
        worker.prepare()
    assert str(refusal.value).startswith("torch-bsr refused to prepare: ")
    with Worker(job(squares, "torch-bsr")) as worker, pytest.raises(EngineRefused, match="not pruned"):
        worker.prepare()


def test_an_engine_that_is_not_installed_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines.deepsparse, "PEERS", tmp_path / "peers")
    assert "make peers" in engines.find("deepsparse").unavailable()


def test_a_conversion_that_fails_says_why(tiny, tmp_path: Path) -> None:
    nothing = dataclasses.replace(tiny, checkpoint=tmp_path)
    reason = r"openvino could not convert: codesign\.errors\.InputError: model="
    with Worker(job(nothing, "openvino")) as worker, pytest.raises(EngineError, match=reason):
        worker.prepare()


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
    heavy = {"torch", "openvino", "tvm", "onnxruntime", "deepsparse", "rich", "jsonschema"}
    code = f"import sys, codesign.engines.worker; print(sorted({heavy} & sys.modules.keys()))"
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
