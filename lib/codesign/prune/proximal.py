"""Proximal operators: the exact answer to "these weights, but with a penalty of this strength"."""

from __future__ import annotations

import torch
from torch import Tensor

from codesign.blocks import BlockShape
from codesign.prune.grid import spread


def soft_threshold(weight: Tensor, threshold: Tensor) -> None:
    """Move every weight towards zero by ``threshold``, in place: argmin over v of |v - w|^2 / 2 + threshold |v|.

    Parameters
    ----------
    weight
        float32 [out, in].
    threshold
        Not negative; broadcasts to ``weight``.
    """
    threshold = threshold.to(weight.dtype)
    weight.sub_(torch.maximum(torch.minimum(weight, threshold), -threshold))


def block_soft_threshold(weight: Tensor, levels: Tensor, threshold: Tensor, block: BlockShape) -> None:
    """Scale every block by max(0, 1 - threshold / level), in place.

    With levels ||w_b|| / sqrt(n_b) this is the proximal operator of the group lasso of Yuan and Lin (2006), argmin over
    v of ||v - w||^2 / 2 + threshold * sum over b of sqrt(n_b) ||v_b||, where n_b is the size of block b. With levels
    that are divided by a weight of each block, it is that of the group lasso with those weights.

    Parameters
    ----------
    weight
        float32 [out, in].
    levels
        [block-rows, block-columns], not negative.
    threshold
        Not negative; broadcasts to ``levels``.
    block
        Shape of a block.
    """
    removed = levels <= threshold
    factors = torch.where(removed, 0.0, 1 - threshold / levels.clamp_min(torch.finfo(levels.dtype).tiny))
    weight.mul_(spread(factors.to(weight.dtype), block, weight.shape))
    weight.masked_fill_(spread(removed, block, weight.shape), 0.0)  # no negative zeros
