"""OpenVINO: the fastest dense float32 engine known to us, so a reference in every session; and in bfloat16."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from codesign.engines.base import Arrays, Call, Engine, Job, Refused
from codesign.engines.convert import ATTENTION, FILES

# Without the precision hint OpenVINO computes in bfloat16 where the CPU can.
_HINTS = {"fp32": "f32", "bf16": "bf16"}


@dataclass
class OpenVINO(Engine):
    name: str
    format: str
    package = "openvino"
    reads = "openvino"

    def prepare(self, job: Job, inputs: Arrays) -> Call:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # the import then fails: nothing is sent
        import openvino

        core = openvino.Core()
        if self.format == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise Refused("this CPU has no bfloat16 arithmetic: OpenVINO would compute in float32 without a word")
        model = core.compile_model(job.require_artifact() / FILES["openvino"], "CPU", self._config(job))
        request = model.create_infer_request()
        for name, array in inputs.items():
            request.set_tensor(name, openvino.Tensor(array))  # a copy: a shared array would be freed with us

        def run() -> Any:
            request.infer()
            return request.get_output_tensor(0).data

        return Call(run, lambda _: {place.any_name: request.get_tensor(place).data for place in model.outputs})

    def settings(self, job: Job) -> dict[str, object]:
        return {"converted_from": f"torch, {ATTENTION['openvino']} attention", **self._config(job)}

    def _config(self, job: Job) -> dict[str, object]:
        return {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": job.threads,
            "INFERENCE_PRECISION_HINT": _HINTS[self.format],
        }
