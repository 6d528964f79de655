r"""The paper's regulariser as it is printed: a sum over blocks of :math:`\ell_1` norms, which is plain lasso.

The sum over blocks of the sums inside them is the sum of all absolute values. Blocks have vanished from the objective:
it drives single weights to zero, and whole blocks only by coincidence. `codesign.prune.group_lasso` is what the text
around the formula asks for.
"""

from __future__ import annotations

from torch import Tensor

from codesign.prune.base import Pruner
from codesign.prune.grid import block_sizes, block_sums
from codesign.prune.proximal import soft_threshold


class L1(Pruner):
    """Soft thresholding of single weights during training; at last whole blocks go, by their mean absolute value."""

    one_shot = True

    def scores(self, name: str, weight: Tensor) -> Tensor:
        """Return the mean absolute weight of each block, float64."""
        return block_sums(weight.double().abs(), self.block) / block_sizes(weight, self.block)

    def levels(self, name: str, weight: Tensor) -> Tensor:
        """Return the absolute weights, float32 [out, in]."""
        return weight.abs()

    def shrink(self, weight: Tensor, levels: Tensor, threshold: Tensor) -> None:
        """Soft-threshold every weight."""
        soft_threshold(weight, threshold)
