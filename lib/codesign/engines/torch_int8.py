"""PyTorch in int8: quantised by torchao, compiled by Inductor."""

from __future__ import annotations

from typing import Any

from codesign.engines.base import Job
from codesign.engines.convert import ATTENTION, FORMS
from codesign.engines.quantize import TORCHAO, narrow
from codesign.engines.torch_compile import TorchCompile


class TorchInt8(TorchCompile):
    reads = "torch-int8"

    def unavailable(self) -> str | None:
        return None if TORCHAO.exists() else "torchao is not installed: `make peers` does it"

    def load(self, job: Job) -> Any:
        import torch
        import torch.ao.quantization.fx._decomposed  # the operators that the file speaks of

        return torch.export.load(job.require_artifact() / FORMS["torch-int8"].file).module()

    def settings(self, job: Job) -> dict[str, object]:
        how = {"quantized_by": "torchao PT2E, X86InductorQuantizer, static", "reduce_range": narrow()}
        return how | {**super().settings(job), "attention": ATTENTION["torch-int8"]}
