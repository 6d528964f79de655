"""Random pruning: the control that shows what a pattern costs or gains whatever the weights are."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor

from codesign.prune.base import Pruner


class Random(Pruner, name="random"):
    """The worth of a block depends on the seed, the name of its matrix and its place, and on nothing else."""

    one_shot = True

    def scores(self, name: str, weight: Tensor) -> Tensor:
        rng = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        return torch.from_numpy(rng.random(self.block.grid(weight.shape))).to(weight.device)
