"""Reweighted group lasso: blocks that were small at the last milestone are penalised more.

The penalty of a block is divided by its norm at the milestone, so that the sum approaches a count of blocks where the
group lasso keeps shrinking large ones too. It is the group form of reweighted proximal pruning (Guo and others, 2019,
arXiv 1909.12486).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from codesign.prune.algorithms.group_lasso import GroupLasso
from codesign.prune.base import root_mean_square

#: Added to a norm before it divides, as a share of the mean norm of its matrix: a block of norm zero may come back.
EPSILON = 0.1


class Reweighted(GroupLasso, name="reweighted"):
    """The state of a matrix is what divides the penalty: block norms at the last milestone, plus a little."""

    def scores(self, name: str, weight: Tensor) -> Tensor:
        """Return the root mean square of each block over its penalty weight."""
        return super().scores(name, weight) * self.state[name]

    def milestone(self, weights: Mapping[str, Tensor]) -> None:
        """Weight each block's penalty by 1 / (norm + epsilon)."""
        for name, weight in weights.items():
            norms = root_mean_square(weight, self.block)
            self.state[name] = norms + EPSILON * norms.mean()
