"""What a pruning algorithm is: a judgement of blocks, and what it does to weights while they are trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

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
