"""ONNX Runtime: what most people deploy; in int8 with ranges of activations known before, or found at each call."""

from __future__ import annotations

from dataclasses import dataclass

from codesign.engines.base import Arrays, Call, Engine, Job
from codesign.engines.convert import ATTENTION, FORMS, OPSET
from codesign.engines.quantize import narrow

# Spinning makes it faster, and is what disturbs its neighbours: it may spin between two operators, not after a call.
_SPINNING = {"session.intra_op.allow_spinning": "1", "session.force_spinning_stop": "1"}


@dataclass
class ONNXRuntime(Engine):
    name: str
    format: str
    reads: str
    package = "onnxruntime"

    def prepare(self, job: Job, inputs: Arrays) -> Call:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.intra_op_num_threads = job.threads
        options.inter_op_num_threads = 1
        for name, value in _SPINNING.items():
            options.add_session_config_entry(name, value)
        path = job.require_artifact() / FORMS[self.reads].file
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return Call(lambda: session.run(None, inputs), lambda arrays: dict(zip(names, arrays, strict=True)))

    def settings(self, job: Job) -> dict[str, object]:
        how = {"quantized_by": self.reads, "reduce_range": narrow()} if self.format == "int8" else {}
        return how | {
            "converted_from": f"torch, {ATTENTION['onnx']} attention, opset {OPSET}",
            "graph_optimization_level": "ORT_ENABLE_ALL",
            "execution_mode": "ORT_SEQUENTIAL",
            "intra_op_num_threads": job.threads,
            **_SPINNING,
        }
