"""PyTorch as it comes: eager mode. The reference for correctness, and the baseline that the paper names."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from codesign.engines.base import Call, Engine, Job, missing

# OpenMP's threads wait for each other by spinning. Woken after an idle gap they may share a core, and then one spins
# while the other should run: single turns were seen at a hundred times the latency of the rest. Binding prevents it.
_BINDING = {"OMP_PROC_BIND": "close", "OMP_PLACES": "cores"}


class TorchEager(Engine):
    name = "torch-eager"

    def unavailable(self) -> str | None:
        return missing("torch")

    def prepare(self, job: Job) -> Call:
        os.environ.update(_BINDING)  # read once, when torch loads OpenMP
        import torch

        from codesign.encoder import load_encoder
        from codesign.forward import EncoderForward, input_names

        torch.set_num_threads(job.threads)
        torch.set_num_interop_threads(1)  # one encoder at a time has nothing to run beside itself
        bert, given = load_encoder(job.checkpoint, attention="sdpa"), job.load_inputs()
        inputs = [torch.from_numpy(given[name]) for name in input_names(bert.config)]
        with torch.inference_mode():
            model = self.adapt(EncoderForward(bert), inputs, job)

        @torch.inference_mode()
        def call() -> np.ndarray:
            return model(*inputs).float().numpy()  # float() leaves float32 as it is

        return call

    def adapt(self, model: Any, inputs: list[Any], job: Job) -> Any:
        """Make of the float32 encoder what is called instead; here nothing."""
        return model

    def settings(self, job: Job) -> dict[str, object]:
        threads = {"num_threads": job.threads, "num_interop_threads": 1}
        return {"attention": "sdpa", "inference_mode": True, **threads, **_BINDING}
