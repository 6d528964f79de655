"""OpenVINO: the fastest dense float32 engine known to us, so a reference in every session; and in bfloat16."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codesign.engines.base import Call, Engine, Job, Refused, missing
from codesign.engines.convert import ATTENTION, FILES

# Without the precision hint OpenVINO computes in bfloat16 where the CPU can.
_HINTS = {"fp32": "f32", "bf16": "bf16"}


@dataclass
class OpenVINO(Engine):
    name: str
    format: str
    reads = "openvino"

    def unavailable(self) -> str | None:
        return missing("openvino")

    def prepare(self, job: Job) -> Call:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # the import then fails: nothing is sent
        import openvino

        core = openvino.Core()
        if self.format == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise Refused("this CPU has no bfloat16 arithmetic: OpenVINO would compute in float32 without a word")
        path = Path(job.require_artifact()) / FILES["openvino"]
        request = core.compile_model(path, "CPU", self._config(job)).create_infer_request()
        for name, array in job.load_inputs().items():
            request.set_tensor(name, openvino.Tensor(array))  # a copy: a shared array would be freed with us

        def call() -> np.ndarray:
            request.infer()
            return request.get_output_tensor(0).data

        return call

    def settings(self, job: Job) -> dict[str, object]:
        return {"converted_from": f"torch, {ATTENTION['openvino']} attention", **self._config(job)}

    def _config(self, job: Job) -> dict[str, object]:
        return {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": job.threads,
            "INFERENCE_PRECISION_HINT": _HINTS[self.format],
        }
