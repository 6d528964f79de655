"""Engines on a small real encoder: in worker processes, and in this one where that shows as much."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from codesign import engines, machine
from codesign.blocks import BlockShape
from codesign.encoder import load_encoder, save_checkpoint
from codesign.engines import EngineError, Job, Refused, conversions, convert
from codesign.engines.base import load_arrays
from codesign.engines.client import Worker, WorkerDied, cosine, max_abs_error
from codesign.engines.conversions import Conversions
from codesign.errors import InputError
from codesign.forward import EncoderForward
from codesign.prune import prune_model

THREADS = min(2, len(machine.cpus()))
#: Largest error against PyTorch that rounding explains on two layers.
TOLERANCE = {"fp32": 1e-5, "bf16": 0.1}


def job(tiny: Any, engine: str, artifact: Path | None = None, block: str = "dense") -> Job:
    if reason := engines.find(engine).unavailable():
        pytest.skip(reason)
    return Job(engine, str(tiny.checkpoint), artifact and str(artifact), str(tiny.inputs), THREADS, block)


def tensors(case: Any) -> list[torch.Tensor]:
    return [torch.from_numpy(array) for array in load_arrays(case.inputs).values()]


@pytest.fixture(scope="module")
def squares(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """bert-tiny with four fifths of its 32x32 blocks removed."""
    folder = tmp_path_factory.mktemp("squares")
    case = dataclasses.replace(tiny, checkpoint=folder / "checkpoint", expected=folder / "expected.npz")
    model = load_encoder("bert-tiny", seed=1)
    prune_model(model, scope="all", pruner="magnitude", block=BlockShape(32, 32), sparsity=0.8, seed=0)
    save_checkpoint(model, case.checkpoint, {})
    assert load_arrays(case.inputs)["token_type_ids"].any(), "or no engine is asked about segments"
    np.savez(case.expected, last_hidden_state=EncoderForward(model)(*tensors(case)).numpy())
    return case


def check(engine: str, outputs: Any, case: Any) -> None:
    """It is right, and computes in the format that it says."""
    error, format_ = max_abs_error(outputs, case.expected), engines.find(engine).format
    assert {array.dtype for array in outputs.values()} == {np.dtype("float32")}
    assert error <= TOLERANCE[format_]
    assert format_ == "fp32" or error > TOLERANCE["fp32"]


def cpu_seconds(pid: int) -> float:
    """CPU time that all threads of a process have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("engine", ["torch-eager", "onnxruntime", "openvino", "deepsparse"])
def test_an_engine_in_its_worker_computes_what_pytorch_computes_and_then_rests(squares: Any, engine: str) -> None:
    with Worker(job(squares, engine, block="32x32")) as worker:
        assert os.sched_getaffinity(worker.pid) == set(machine.cpus(THREADS))
        answer = worker.prepare()
        assert answer["settings"] == engines.find(engine).settings(worker.job)
        assert answer["disk_bytes"] > 4 * 128 * 1000, "at least the word embeddings"
        outputs, about = worker.output()
        assert about["peak_rss_bytes"] > 4 * 128 * 1000
        samples, discarded = worker.run(calls=4, discard=3)
        again, _ = worker.output()
        time.sleep(0.3)
        before = cpu_seconds(worker.pid)
        time.sleep(0.3)
        assert cpu_seconds(worker.pid) - before < 0.1, "nobody spins while others are timed"
    check(engine, outputs, squares)
    np.testing.assert_array_equal(outputs["last_hidden_state"], again["last_hidden_state"])
    assert (len(samples), len(discarded)) == (4, 3)
    assert min(*samples, *discarded, about["call_ns"]) > 0
    assert not Path(f"/proc/{worker.pid}").exists()


def test_openvino_in_bfloat16_takes_inputs_by_name(squares: Any, tmp_path: Path) -> None:
    with warnings.catch_warnings(action="ignore"):  # PyTorch's own, of how OpenVINO asks it for a graph
        convert.main("openvino", str(squares.checkpoint), str(tmp_path), str(squares.inputs))
    inputs = dict(reversed(load_arrays(squares.inputs).items()))
    try:
        call = engines.find("openvino-bf16").prepare(job(squares, "openvino-bf16", tmp_path), inputs)
    except Refused as refusal:
        pytest.skip(str(refusal))
    check("openvino-bf16", call.outputs(call.run()), squares)


@pytest.mark.parametrize("engine", ["torch-bf16", "torch-bsr"])
def test_pytorch_in_another_format_or_with_blocks(squares: Any, engine: str) -> None:
    forward = EncoderForward(load_encoder(str(squares.checkpoint), attention="sdpa"))
    with torch.inference_mode():
        model = engines.find(engine).adapt(forward, tensors(squares), job(squares, engine, block="32x32"))
        check(engine, {"last_hidden_state": model(*tensors(squares)).float().numpy()}, squares)


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
def test_what_is_compiled_holds_weights_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")  # the engine sets it, for good
    model, inputs = OneLayer().eval(), [torch.arange(512).reshape(16, 32), torch.ones(16, 32, dtype=torch.int64)]
    with torch.inference_mode():
        call = engines.find("torch-compile").adapt(model, inputs, Job("torch-compile", "", None, "", 1))
        before = call(*inputs).clone()
        np.testing.assert_allclose(before, model(*inputs), rtol=1e-5, atol=1e-3)
        model.linear.weight.mul_(2)
        assert torch.equal(call(*inputs), before)


def test_outputs_are_compared_by_name(tmp_path: Path) -> None:
    zeros, ones = np.zeros((2, 3)), np.ones((2, 3))
    np.savez(tmp_path / "right.npz", a=zeros, b=ones)
    assert max_abs_error({"b": ones, "a": zeros - 0.5}, tmp_path / "right.npz") == 0.5
    for wrong in ({"a": zeros}, {"a": zeros, "c": ones}, {"a": zeros, "b": ones[:1]}, {"a": zeros, "b": ones * np.nan}):
        with pytest.raises(EngineError, match="not finite, expected"):
            max_abs_error(wrong, tmp_path / "right.npz")


def test_a_cosine_is_of_all_real_tokens_together(tmp_path: Path) -> None:
    right, inputs = tmp_path / "right.npz", tmp_path / "inputs.npz"
    np.savez(right, a=np.array([[[3.0, 0.0], [0.0, 4.0], [1.0, 1.0]]]))
    np.savez(inputs, attention_mask=np.array([[1, 1, 0]]))
    assert cosine({"a": np.array([[[6.0, 0.0], [0.0, 8.0], [-99.0, 0.0]]])}, right, inputs) == 1.0
    assert cosine({"a": np.array([[[4.0, 0.0], [0.0, -3.0], [1.0, 1.0]]])}, right, inputs) == 0.0


@pytest.mark.parametrize("engine", ["openvino-int8", "onnxruntime-int8-dynamic", "torch-eager"])
def test_each_row_is_a_batch_of_one_in_any_format(tiny: Any, tmp_path: Path, engine: str) -> None:
    """What an engine makes of a row depends neither on the rows beside it nor on the inputs that it was loaded with."""
    rows = load_arrays(tiny.inputs)
    np.savez(tmp_path / "one.npz", **{name: np.zeros_like(array[:1]) for name, array in rows.items()})
    one = dataclasses.replace(job(tiny, engine), inputs=str(tmp_path / "one.npz"), calibration=str(tiny.inputs))
    with Worker(one) as worker:
        worker.prepare()
        found = worker.evaluate(tiny.inputs)
        last, _ = worker.output()
        with pytest.raises(EngineError, match=r"rows of shapes .*, but the engine was prepared for"):
            worker.evaluate(tiny.expected)
    assert cosine(found, tiny.expected, tiny.inputs) > (0.98 if engines.find(engine).format == "int8" else 1 - 1e-9)
    np.testing.assert_array_equal(found["last_hidden_state"][-1:], last["last_hidden_state"])


def test_engines_of_a_session_share_what_they_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def convert(job: Job, form: str, source: Path, path: Path, environment: Any) -> None:
        assert source.exists()
        made.append((form, source.name))
        path.mkdir()

    monkeypatch.setattr(conversions, "_convert", convert)
    names = ("openvino", "openvino-bf16", "openvino-int8", "torch-eager")
    jobs = [Job(name, str(tmp_path), None, "", 1) for name in names]
    shared = Conversions(tmp_path, jobs)
    base, same, quantized, nothing = (shared.get(job, {}) for job in jobs)
    assert base == same != quantized
    assert nothing == tmp_path
    assert made == [("openvino", tmp_path.name), ("openvino-int8", base.name)]
    for each, left in zip(jobs, [(True, True), (True, True), (False, False), (False, False)], strict=True):
        shared.done(each)
        assert (base.exists(), quantized.exists()) == left, "it lies there while somebody may need it"


def test_a_shape_that_pytorch_has_no_kernel_for_is_refused_with_its_reason(squares: Any) -> None:
    forward = EncoderForward(load_encoder(str(squares.checkpoint), attention="sdpa"))
    adapt = engines.find("torch-bsr").adapt
    with torch.inference_mode():
        with pytest.raises(Refused, match="not pruned"):
            adapt(forward, tensors(squares), job(squares, "torch-bsr"))
        with pytest.raises(Refused):
            adapt(forward, tensors(squares), job(squares, "torch-bsr", block="32x1"))


def test_what_an_engine_lacks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines.deepsparse, "PEERS", tmp_path / "peers")
    assert "make peers" in engines.find("deepsparse").unavailable()
    monkeypatch.setattr(engines.TorchEager, "package", "no_such_package")
    assert "no_such_package" in engines.find("torch-bf16").unavailable()
    with pytest.raises(InputError, match="did you mean openvino"):
        engines.find("open-vino")
    with pytest.raises(InputError, match="threads=4096"):
        Worker(Job("torch-eager", "", None, "", 4096))


def test_a_conversion_that_fails_says_why(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho no such operator >&2\nexit 1\n")
    script.chmod(0o755)
    with Worker(job(tiny, "openvino")) as worker:
        monkeypatch.setattr(conversions.sys, "executable", str(script))
        with pytest.raises(EngineError, match="openvino could not convert: no such operator"):
            worker.prepare()


def test_a_worker_survives_a_bad_job_and_is_reported_with_its_last_words(tiny: Any) -> None:
    with Worker(job(tiny, "tvm-bsr")) as worker:
        with pytest.raises(EngineError, match=r"tvm-bsr could not prepare: .*02_compile builds it"):
            worker.prepare()  # leaves a traceback on stderr
        with pytest.raises(EngineError, match="nothing is prepared"):  # it still answers
            worker.run(calls=1, discard=1)
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(WorkerDied, match=r"(?s)tvm-bsr died while asked to run \(killed by SIGKILL\).*InputError"):
            worker.run(calls=1, discard=1)


def test_a_worker_does_not_outlive_the_process_that_started_it() -> None:
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


CHATTY = """
import os, sys
from codesign.engines import ENGINES, worker
class Chatty:
    def prepare(self, job, inputs):
        print("hello"); os.write(1, b"hello from C\\n")
    def settings(self, job):
        heavy = {"torch", "openvino", "tvm", "onnxruntime", "deepsparse", "rich", "pydantic", "pandas"}
        return {"imported": sorted(heavy & sys.modules.keys())}
ENGINES["chatty"] = Chatty()
worker.serve(worker._Worker())
"""


def test_a_worker_imports_no_other_engine_and_what_a_library_prints_is_no_answer(tiny: Any) -> None:
    """Neither the measuring process nor a TVM worker may have another engine's threads in it."""
    request = {"do": "prepare", "job": dataclasses.asdict(Job("chatty", "", None, str(tiny.inputs), 1))}
    done = subprocess.run(
        [sys.executable, "-c", CHATTY], input=json.dumps(request) + "\n", capture_output=True, text=True, check=True
    )
    (line,) = done.stdout.splitlines()
    assert json.loads(line) == {"settings": {"imported": []}}
    assert "hello from C" in done.stderr
