"""What a pruning algorithm is, a judgement of blocks, and the few operations on blocks that all are written in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from codesign.blocks import BlockShape


class Pruner:
    """One algorithm at work on the matrices of one model.

    Pruning in one shot asks for `scores` and nothing else. Training (`codesign.prune.sparsifier`) also calls `observe`
    after each backward pass, `levels` and `shrink` after each step of the optimiser, and `milestone` now and then.
    A new algorithm is one file in `codesign.prune.algorithms` with a subclass; its ``name`` registers it.

    Parameters
    ----------
    block
        Need not divide a matrix.
    seed
        Seed of random choices.

    Attributes
    ----------
    state
        What it has learnt: one tensor a matrix, by the name of the matrix. Saved and restored with a training run.
    """

    #: Every algorithm by the name that users give it.
    known: ClassVar[dict[str, type[Pruner]]] = {}
    #: Whether it can judge weights that are not being trained.
    one_shot: ClassVar[bool] = False
    #: Whether removed weights keep their values during training, since their block may come back.
    latent: ClassVar[bool] = False

    def __init_subclass__(cls, *, name: str) -> None:
        Pruner.known[name] = cls

    def __init__(self, block: BlockShape, seed: int) -> None:
        self.block, self.seed = block, seed
        self.state: dict[str, Tensor] = {}

    def scores(self, name: str, weight: Tensor) -> Tensor:
        """Say how much each block is worth.

        Parameters
        ----------
        name
            Of the matrix, as in `codesign.encoder.prunable_linears`.
        weight
            float32 [out, in].

        Returns
        -------
        Tensor
            [block-rows, block-columns], finite; of two blocks the one with less goes first.
        """
        raise NotImplementedError

    def observe(self, name: str, weight: Tensor, gradient: Tensor) -> None:
        """Learn from a gradient: of the loss with respect to the weights *that the model computed with*."""

    def levels(self, name: str, weight: Tensor) -> Tensor | None:
        """What the regulariser's threshold is compared with; None for an algorithm that does not regularise."""
        return None

    def shrink(self, weight: Tensor, levels: Tensor, threshold: Tensor) -> None:
        """Apply the regulariser's proximal step in place: what is at ``threshold`` or below becomes exactly zero."""
        raise NotImplementedError

    def milestone(self, weights: Mapping[str, Tensor]) -> None:
        """Take stock of the weights; called as training starts and at even intervals until pruning is complete."""


def block_means(values: Tensor, block: BlockShape) -> Tensor:
    """Average each block: float64 [out, in] -> [block-rows, block-columns]; ``block`` need not divide the matrix.

    Only real elements count: otherwise the edge blocks of a matrix that ``block`` does not divide would count less for
    being small. Double precision, so that no order of summation decides a mask.
    """
    rows, cols = block.grid(values.shape)
    below, right = rows * block.rows - values.shape[0], cols * block.cols - values.shape[1]
    if below or right:
        values = functional.pad(values, (0, right, 0, below))
    sums = values.reshape(rows, block.rows, cols, block.cols).sum((1, 3))
    heights, widths = values.new_full((rows,), block.rows), values.new_full((cols,), block.cols)
    heights[-1] -= below
    widths[-1] -= right
    return sums / torch.outer(heights, widths)


def root_mean_square(weight: Tensor, block: BlockShape) -> Tensor:
    """L2 norm of each block over the square root of its size: float64 [block-rows, block-columns]."""
    return block_means(weight.double().square(), block).sqrt()


def spread(per_block: Tensor, block: BlockShape, shape: torch.Size) -> Tensor:
    """Give each element the value of its block: [block-rows, block-columns] -> [out, in]."""
    rows, cols = per_block.shape
    whole = per_block[:, None, :, None].expand(rows, block.rows, cols, block.cols)
    return whole.reshape(rows * block.rows, cols * block.cols)[: shape[0], : shape[1]]
