"""Magnitude pruning: a block is worth its root mean square weight.

In one shot, or gradually with the cubic schedule of Zhu and Gupta (2017): the schedule is a choice of the training.
"""

from __future__ import annotations

from torch import Tensor

from codesign.prune.base import Pruner, root_mean_square


class Magnitude(Pruner, name="magnitude"):
    """The norm is L2 *inside* a block, as in group lasso: a sum of absolute values would not favour whole blocks."""

    one_shot = True

    def scores(self, name: str, weight: Tensor) -> Tensor:
        return root_mean_square(weight, self.block)
