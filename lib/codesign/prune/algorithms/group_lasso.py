"""Group lasso: an L2 norm inside each block and a sum over blocks, so that what becomes zero is a whole block.

Proximal block soft thresholding after the step of the optimiser solves the penalty exactly; a gradient of it would
only make weights small.
"""

from __future__ import annotations

import torch
from torch import Tensor

from codesign.prune.base import Pruner, root_mean_square, spread


class GroupLasso(Pruner, name="group-lasso"):
    """Each block's penalty is weighted by the square root of its size (Yuan and Lin, 2006)."""

    def scores(self, name: str, weight: Tensor) -> Tensor:
        return root_mean_square(weight, self.block)

    def levels(self, name: str, weight: Tensor) -> Tensor:
        return self.scores(name, weight)

    def shrink(self, weight: Tensor, levels: Tensor, threshold: Tensor) -> None:
        """Scale every block by max(0, 1 - threshold / level).

        With levels ||w_b|| / sqrt(n_b) this is the proximal operator of the group lasso, argmin over v of
        ||v - w||^2 / 2 + threshold * sum over b of sqrt(n_b) ||v_b||, where n_b is the size of block b. With levels
        that are divided by a weight of each block, it is that of the group lasso with those weights.
        """
        removed = levels <= threshold
        factors = torch.where(removed, 0.0, 1 - threshold / levels.clamp_min(torch.finfo(levels.dtype).tiny))
        weight.mul_(spread(factors.to(weight.dtype), self.block, weight.shape))
        weight.masked_fill_(spread(removed, self.block, weight.shape), 0.0)  # no negative zeros
