"""torch.compile: Inductor with the weights frozen into the compiled code."""

from __future__ import annotations

import os
from typing import Any

from codesign.engines.base import Job
from codesign.engines.torch_eager import TorchEager

_OPTIONS: dict[str, Any] = {"freezing": True, "max_autotune": True}


class TorchCompile(TorchEager):
    name = "torch-compile"

    def adapt(self, model: Any, inputs: list[Any], job: Job) -> Any:
        os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # no pool of processes that lives on beside the timing
        import torch

        compiled: Any = torch.compile(model, fullgraph=True, dynamic=False, options=_OPTIONS)
        compiled(*inputs)  # compiles
        return compiled

    def settings(self, job: Job) -> dict[str, object]:
        return {"backend": "inductor", "fullgraph": True, "dynamic": False, **_OPTIONS, **super().settings(job)}
