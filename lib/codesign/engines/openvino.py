"""OpenVINO: the fastest dense float32 engine known to us, so a reference in every session; in bfloat16 and int8, too.

In int8 it may also keep sparse weights packed until they are used. That skips no product, and saves memory traffic.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from codesign.blocks import DENSE
from codesign.engines.base import Arrays, Call, Engine, Job, Refused
from codesign.engines.convert import ATTENTION, FORMS
from codesign.engines.quantize import narrow
from codesign.isa import cpu_flags

# Without the precision hint OpenVINO computes in bfloat16 where the CPU can. Beside int8 it was no faster.
_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
_PACKED = "CPU_SPARSE_WEIGHTS_DECOMPRESSION_RATE"


@dataclass
class OpenVINO(Engine):
    name: str
    format: str
    sparse: bool = False

    @property
    def package(self) -> str:  # type: ignore[override]
        return "nncf" if self.format == "int8" else "openvino"  # it needs both, and the lock has both

    @property
    def reads(self) -> str:  # type: ignore[override]
        return "openvino-int8" if self.format == "int8" else "openvino"

    def prepare(self, job: Job, inputs: Arrays) -> Call:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # the import then fails: nothing is sent
        import openvino

        core = openvino.Core()
        if self.format == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise Refused("this CPU has no bfloat16 arithmetic: OpenVINO would compute in float32 without a word")
        if self.sparse and job.block == DENSE:
            raise Refused("the encoder is not pruned: there are no zeros to pack")
        if self.sparse and "amx_int8" not in cpu_flags():
            raise Refused("this CPU has no AMX: OpenVINO would leave the weights as they are without a word")
        model = core.compile_model(job.require_artifact() / FORMS[self.reads].file, "CPU", self._config(job))
        request = model.create_infer_request()
        for name, array in inputs.items():
            request.set_tensor(name, openvino.Tensor(array, shared_memory=True))

        def run() -> Any:
            request.infer()
            return request.get_output_tensor(0).data

        return Call(run, lambda _: {place.any_name: request.get_tensor(place).data for place in model.outputs})

    def settings(self, job: Job) -> dict[str, object]:
        how: dict[str, object] = {"converted_from": f"torch, {ATTENTION['openvino']} attention"}
        if self.format == "int8":
            how |= {"quantized_by": "NNCF, transformer, performance", "overflow_fix": narrow()}
        return how | self._config(job)

    def _config(self, job: Job) -> dict[str, object]:
        return {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": job.threads,
            "INFERENCE_PRECISION_HINT": _HINTS[self.format],
            **({_PACKED: 0.5} if self.sparse else {}),
        }
