"""torch.compile: Inductor with the weights of the linears frozen into the compiled code; also in bfloat16.

A CPU without bfloat16 arithmetic runs that, too: slowly, which is what its users should know.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from codesign.engines.base import Job
from codesign.engines.torch_eager import TorchEager


@dataclass
class TorchCompile(TorchEager):
    name: str
    format: str

    def adapt(self, model: Any, tensors: list[Any], job: Job) -> Any:
        os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # no pool of processes that lives on beside the timing
        import torch
        from torch._inductor import config

        if self.format == "bf16":
            model = model.to(torch.bfloat16)
        # Dynamo decides from the configuration whether weights are constants, before it has seen any ``options`` of
        # torch.compile: given there, "freezing" does nothing.
        with config.patch(freezing=True, max_autotune=True):
            compiled: Any = torch.compile(model, fullgraph=True, dynamic=False)
            compiled(*tensors)  # compiles
        return compiled

    def settings(self, job: Job) -> dict[str, object]:
        how = {"backend": "inductor", "fullgraph": True, "dynamic": False, "max_autotune": True}
        # by "frozen" records are told from older ones, whose "freezing" was asked for and did not happen
        return how | {"frozen": True, **super().settings(job)}
