"""PyTorch as it comes: eager mode. The reference for correctness, and the baseline that the paper names."""

from __future__ import annotations

import os
from typing import Any

from codesign.engines.base import Arrays, Call, Engine, Job

# OpenMP's threads wait for each other by spinning. Woken after an idle gap they may share a core, and then one spins
# while the other should run: single turns were seen at a hundred times the latency of the rest. Binding prevents it.
_BINDING = {"OMP_PROC_BIND": "close", "OMP_PLACES": "cores"}


class TorchEager(Engine):
    name = "torch-eager"
    package = "torch"

    def prepare(self, job: Job, inputs: Arrays) -> Call:
        os.environ.update(_BINDING)  # read once, when torch loads OpenMP
        import torch

        from codesign.forward import INPUTS

        torch.set_num_threads(job.threads)
        torch.set_num_interop_threads(1)  # one encoder at a time has nothing to run beside itself
        tensors = [torch.from_numpy(inputs[name]) for name in INPUTS if name in inputs]  # of the same memory
        with torch.inference_mode():
            model = self.adapt(self.load(job), tensors, job)

        @torch.inference_mode()
        def run() -> Any:
            return model(*tensors).float().numpy()  # float() leaves float32 as it is

        return Call(run)

    def load(self, job: Job) -> Any:
        """Load what takes the inputs in order; here the float32 encoder."""
        from codesign.encoder import load_encoder
        from codesign.forward import EncoderForward

        return EncoderForward(load_encoder(job.checkpoint, attention="sdpa"))

    def adapt(self, model: Any, tensors: list[Any], job: Job) -> Any:
        """Make of what was loaded what is called instead, with its inputs in order; here nothing."""
        return model

    def settings(self, job: Job) -> dict[str, object]:
        threads = {"num_threads": job.threads, "num_interop_threads": 1}
        return {"attention": "sdpa", "inference_mode": True, **threads, **_BINDING}
