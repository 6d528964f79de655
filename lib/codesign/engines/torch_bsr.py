"""PyTorch with its own block-sparse weights: what sparsity brings without a compiler for it."""

from __future__ import annotations

import warnings
from typing import Any

from codesign.engines.base import Job, Refused
from codesign.engines.torch_eager import TorchEager


class TorchBSR(TorchEager):
    name = "torch-bsr"

    def adapt(self, model: Any, tensors: list[Any], job: Job) -> Any:
        import torch

        from codesign.blocks import DENSE, BlockShape
        from codesign.encoder import prunable_linears

        if job.block == DENSE:
            raise Refused("the encoder is not pruned: there are no blocks to leave out")
        shape = BlockShape.parse(job.block)
        warnings.filterwarnings("ignore", "Sparse (BSR|CSR) tensor support is in beta", UserWarning)
        try:
            for linear in prunable_linears(model.bert, "all").values():
                blocks = linear.weight.to_sparse_bsr((shape.rows, shape.cols))
                if blocks.values().shape[0] < linear.weight.numel() // (shape.rows * shape.cols):
                    linear.weight = torch.nn.Parameter(blocks, requires_grad=False)
            model(*tensors)
        except RuntimeError as error:
            raise Refused(str(error).splitlines()[0]) from error
        return model

    def settings(self, job: Job) -> dict[str, object]:
        return {"layout": "torch.sparse_bsr", "block": job.block, **super().settings(job)}
