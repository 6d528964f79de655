"""PyTorch as it comes: eager mode. The reference for correctness, and the baseline that the paper names."""

from __future__ import annotations

import os

import numpy as np

from codesign.engines.base import Call, Job, missing

# OpenMP's threads wait for each other by spinning. Woken after an idle gap they may share a core, and then one spins
# while the other should run: single turns were seen at a hundred times the latency of the rest. Binding prevents it.
_BINDING = {"OMP_PROC_BIND": "close", "OMP_PLACES": "cores"}


class TorchEager:
    name = "torch-eager"

    def unavailable(self) -> str | None:
        return missing("torch")

    def prepare(self, job: Job) -> Call:
        os.environ.update(_BINDING)  # read once, when torch loads OpenMP
        import torch

        from codesign.encoder import EncoderForward, load_encoder

        torch.set_num_threads(job.threads)
        torch.set_num_interop_threads(1)  # one encoder at a time has nothing to run beside itself
        model = EncoderForward(load_encoder(job.checkpoint, attention="sdpa"))
        inputs = [torch.from_numpy(array) for array in job.load_inputs()]

        @torch.inference_mode()
        def call() -> np.ndarray:
            return model(*inputs).numpy()

        return call

    def settings(self, job: Job) -> dict[str, object]:
        threads = {"num_threads": job.threads, "num_interop_threads": 1}
        return {"attention": "sdpa", "inference_mode": True, **threads, **_BINDING}
