"""Block movement pruning: a block is worth what moving away from zero has gained (Lagunas and others, 2021).

The model computes with W * mask(S), where S scores blocks, and the mask passes gradients straight through: the
gradient of a score is the sum over its block of weight * gradient. Descent on S therefore accumulates
-weight * gradient. Removed blocks keep their weights, so that their scores go on moving and they may come back.
"""

from __future__ import annotations

import torch
from torch import Tensor

from codesign.prune.base import Pruner, block_means


class Movement(Pruner, name="movement"):
    """The state of a matrix is the score of each block, float64; in units of loss per element, so that edges count."""

    latent = True

    def scores(self, name: str, weight: Tensor) -> Tensor:
        """Return what has accumulated."""
        nothing = weight.new_zeros(self.block.grid(weight.shape), dtype=torch.float64)
        return self.state.get(name, nothing)

    def observe(self, name: str, weight: Tensor, gradient: Tensor) -> None:
        """Add -weight * gradient, averaged over each block."""
        self.state[name] = self.scores(name, weight) - block_means(weight.double() * gradient, self.block)
