"""Pruning while training: an algorithm, a budget and a schedule, at work between the steps of an optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from codesign.errors import InputError, one_of
from codesign.prune.allocation import check_fits, keep, thresholds
from codesign.prune.base import Pruner, spread

#: ``one-shot`` prunes before the first step; ``cubic`` fast at first and slower as fewer weights are left.
SCHEDULES = ("one-shot", "cubic")
#: How often the masks of an algorithm that does not regularise are drawn anew while the schedule rises, in steps.
INTERVAL = 10
#: How often an algorithm takes stock (`Pruner.milestone`) while the schedule rises.
MILESTONES = 5


def cubic(step: int, steps: int, sparsity: float) -> float:
    """Sparsity after ``step`` of ``steps`` steps: s (1 - (1 - t)^3), with t the share of steps done.

    This is equation 1 of Zhu and Gupta (2017) from an initial sparsity of zero; ``sparsity`` from the last step on.
    """
    left = 1 - min(step, steps) / steps
    return sparsity * (1 - left**3)


class Sparsifier:
    """What happens to a model's matrices in each step of training.

    While the schedule rises, an algorithm that regularises shrinks weights after each step; its threshold is the level
    below which lies the share that the schedule asks for, so that every block shape ends at the same sparsity. Any
    other algorithm sets the weakest blocks to zero every few steps. With the last step of the schedule the weakest
    blocks are removed for good, and from then on the masks are frozen.

    Parameters
    ----------
    pruner
        The algorithm.
    weights
        float32 [out, in] by name: the parameters themselves, which are changed in place.
    sparsity, allocation
        The budget, as in `codesign.prune.allocation.keep`.
    schedule
        One of `SCHEDULES`.
    steps
        Length of the schedule, at least 1; ``one-shot`` is over before the first step.

    Raises
    ------
    InputError
        For an unknown schedule, a budget that cannot be met, or an algorithm that cannot judge in one shot.
    """

    def __init__(
        self,
        pruner: Pruner,
        weights: Mapping[str, Tensor],
        *,
        sparsity: float,
        allocation: str,
        schedule: str,
        steps: int,
    ) -> None:
        check_fits({name: pruner.block.grid(weight.shape) for name, weight in weights.items()}, sparsity, allocation)
        one_of("schedule", schedule, SCHEDULES)
        if schedule == "one-shot" and not pruner.one_shot:
            raise InputError("schedule", schedule, "cubic: this algorithm learns what to remove", "cubic")
        self.pruner, self.weights = pruner, dict(weights)
        self.sparsity, self.allocation = sparsity, allocation
        self.steps = 0 if schedule == "one-shot" else steps
        self.masks: dict[str, Tensor] = {}

    def start(self) -> None:
        """Prepare for the first step: take stock, or prune at once."""
        self.pruner.milestone(self.weights)
        if not self.steps:
            self._draw_masks(self.sparsity)
            self._apply_masks()

    def effective(self, done: int) -> dict[str, Tensor]:
        """Weights to compute with in place of the parameters: masked, and passing gradients straight through.

        Empty unless removed weights keep their values (`Pruner.latent`). Their gradients stay in ``.grad`` of these
        tensors, for `observe`.
        """
        if not self.pruner.latent or done >= self.steps:
            return {}
        masked = {}
        for name, weight in self.weights.items():
            masked[name] = weight * self.masks.get(name, 1.0)
            masked[name].retain_grad()
        return masked

    def observe(self, done: int, effective: Mapping[str, Tensor]) -> None:
        """Show the algorithm the gradients of a backward pass, before the optimiser's step."""
        if done >= self.steps:
            return
        for name, weight in self.weights.items():
            gradient = effective.get(name, weight).grad
            if gradient is not None:
                self.pruner.observe(name, weight.detach(), gradient)

    @torch.no_grad()
    def after_step(self, done: int) -> None:
        """Act after the optimiser's step, of which there have been ``done`` now."""
        if done < self.steps:
            target = cubic(done, self.steps, self.sparsity)
            if not self._regularise(target) and done % INTERVAL == 0:
                self._draw_masks(target)
            if done * MILESTONES // self.steps > (done - 1) * MILESTONES // self.steps:
                self.pruner.milestone(self.weights)
        elif done == self.steps:
            self._draw_masks(self.sparsity)
        if done >= self.steps or not self.pruner.latent:
            self._apply_masks()

    def state(self) -> dict[str, Any]:
        """Return everything that a resumed run needs beside the weights."""
        return {"masks": self.masks, "pruner": self.pruner.state}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned, on the device of the weights."""
        self.masks, self.pruner.state = state["masks"], state["pruner"]

    def _regularise(self, target: float) -> bool:
        """Shrink weights towards ``target``; False if the algorithm does not do that."""
        levels = {}
        for name, weight in self.weights.items():
            level = self.pruner.levels(name, weight)
            if level is None:
                return False
            levels[name] = level
        for name, threshold in thresholds(levels, target, self.allocation).items():
            self.pruner.shrink(self.weights[name], levels[name], threshold)
        return True

    @torch.no_grad()
    def _draw_masks(self, sparsity: float) -> None:
        """Keep the best blocks: bool [out, in] of each matrix."""
        scores = {name: self.pruner.scores(name, weight) for name, weight in self.weights.items()}
        kept = keep(scores, sparsity, self.allocation)
        self.masks = {
            name: spread(mask, self.pruner.block, self.weights[name].shape).contiguous() for name, mask in kept.items()
        }

    @torch.no_grad()
    def _apply_masks(self) -> None:
        for name, mask in self.masks.items():
            self.weights[name].masked_fill_(~mask, 0.0)
