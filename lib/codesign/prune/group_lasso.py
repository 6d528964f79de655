"""Group lasso: an L2 norm inside each block and a sum over blocks, so that what becomes zero is a whole block.

Proximal block soft thresholding after the step of the optimiser solves the penalty exactly; a gradient of it would
only make weights small.
"""

from __future__ import annotations

from torch import Tensor

from codesign.prune.base import Pruner
from codesign.prune.grid import root_mean_square
from codesign.prune.proximal import block_soft_threshold


class GroupLasso(Pruner):
    """Each block's penalty is weighted by the square root of its size (Yuan and Lin, 2006)."""

    def scores(self, name: str, weight: Tensor) -> Tensor:
        """Return the root mean square of each block."""
        return root_mean_square(weight, self.block)

    def levels(self, name: str, weight: Tensor) -> Tensor:
        """Return the scores."""
        return self.scores(name, weight)

    def shrink(self, weight: Tensor, levels: Tensor, threshold: Tensor) -> None:
        """Soft-threshold every block."""
        block_soft_threshold(weight, levels, threshold, self.block)
