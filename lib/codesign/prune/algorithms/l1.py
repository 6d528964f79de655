r"""The paper's regulariser as it is printed: a sum over blocks of :math:`\ell_1` norms, which is plain lasso.

The sum over blocks of the sums inside them is the sum of all absolute values. Blocks have vanished from the objective:
it drives single weights to zero, and whole blocks only by coincidence. `codesign.prune.algorithms.group_lasso` is what
the text around the formula asks for.
"""

from __future__ import annotations

import torch
from torch import Tensor

from codesign.prune.base import Pruner, block_means


class L1(Pruner, name="l1"):
    """Soft thresholding of single weights during training; at last whole blocks go, by their mean absolute value."""

    one_shot = True

    def scores(self, name: str, weight: Tensor) -> Tensor:
        return block_means(weight.double().abs(), self.block)

    def levels(self, name: str, weight: Tensor) -> Tensor:
        """Return the absolute weights, float32 [out, in]."""
        return weight.abs()

    def shrink(self, weight: Tensor, levels: Tensor, threshold: Tensor) -> None:
        """Move every weight towards zero by the threshold t: argmin over v of (v - w)^2 / 2 + t |v|."""
        threshold = threshold.to(weight.dtype)
        weight.sub_(torch.maximum(torch.minimum(weight, threshold), -threshold))
