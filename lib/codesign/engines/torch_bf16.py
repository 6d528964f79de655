"""PyTorch in bfloat16: eager mode, every weight rounded beforehand.

Autocast instead would round the weights again at each call: it remembers them for training only.
"""

from __future__ import annotations

from typing import Any

from codesign.engines.base import Job
from codesign.engines.torch_eager import TorchEager


class TorchBF16(TorchEager):
    name = "torch-bf16"
    format = "bf16"

    def adapt(self, model: Any, tensors: list[Any], job: Job) -> Any:
        import torch

        return model.to(torch.bfloat16)

    def settings(self, job: Job) -> dict[str, object]:
        return {"weights": "bfloat16", **super().settings(job)}
