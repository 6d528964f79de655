"""OpenVINO: the fastest dense float32 engine known to us, so a reference in every session."""

from __future__ import annotations

import sys

import numpy as np

from codesign.engines.base import Call, Job, missing


class OpenVINO:
    name = "openvino"

    def unavailable(self) -> str | None:
        return missing("openvino")

    def prepare(self, job: Job) -> Call:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # the import then fails: nothing is sent
        import openvino
        import torch

        from codesign.encoder import EncoderForward, load_encoder

        arrays = job.load_inputs()
        model = openvino.convert_model(
            EncoderForward(load_encoder(job.checkpoint, attention="sdpa")),
            example_input=tuple(torch.from_numpy(array) for array in arrays),
            input=[openvino.PartialShape(array.shape) for array in arrays],  # static shapes are planned ahead
        )
        request = openvino.compile_model(model, "CPU", self._config(job)).create_infer_request()
        for index, array in enumerate(arrays):
            request.set_input_tensor(index, openvino.Tensor(array))  # a copy: a shared array would be freed with us

        def call() -> np.ndarray:
            request.infer()
            return request.get_output_tensor(0).data

        return call

    def settings(self, job: Job) -> dict[str, object]:
        return {"converted_from": "torch, sdpa attention", **self._config(job)}

    @staticmethod
    def _config(job: Job) -> dict[str, object]:
        # Without the precision hint OpenVINO computes in bfloat16 where the CPU can.
        return {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": job.threads,
            "INFERENCE_PRECISION_HINT": "f32",
        }
