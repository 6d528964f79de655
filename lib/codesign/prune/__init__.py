"""Pruning: it turns weights into exact zeros and leaves the model an ordinary dense one.

Nothing else crosses to the compiler. A pruner is a function ``scores(weight, block, rng)`` that says how much each
block is worth; which blocks go, and what was achieved, is the same for all of them.
"""

from __future__ import annotations

import difflib
import zlib
from collections.abc import Callable

import numpy as np
from transformers import BertModel

from codesign.blocks import BlockShape
from codesign.encoder import prunable_linears
from codesign.errors import InputError
from codesign.prune import magnitude, random
from codesign.prune.found import AS_FOUND
from codesign.prune.masks import keep_mask, kept_blocks
from codesign.prune.report import PruneReport, report

__all__ = ["AS_FOUND", "PRUNERS", "PruneReport", "prune_model"]

#: weight float32 [out, in], block, generator -> score of each block, float64 [block-rows, block-columns].
Pruner = Callable[[np.ndarray, BlockShape, np.random.Generator], np.ndarray]

PRUNERS: dict[str, Pruner] = {"magnitude": magnitude.scores, "random": random.scores}


def prune_model(
    model: BertModel, *, scope: str, pruner: str, block: BlockShape, sparsity: float, seed: int
) -> PruneReport:
    """Prune a model in place, in one shot.

    The budget is uniform: every matrix loses the same share of its blocks, so that matrices of equal shape keep equal
    numbers of blocks and can share one compiled kernel.

    Parameters
    ----------
    model
        Its weights are overwritten; pruned elements become exactly 0.
    scope
        One of `codesign.encoder.SCOPES`.
    pruner
        Name in `PRUNERS`, or `AS_FOUND`: nothing is pruned, and the report says what there is already.
    block
        1x1 prunes single weights. It need not divide a matrix, but must not be larger than one.
    sparsity
        Share of blocks to remove, in [0, 1); without effect on a model that is taken as it was found.
    seed
        Seed of random choices; the mask of a matrix depends on its name and the seed, not on the scope.

    Returns
    -------
    PruneReport
        What was achieved.

    Raises
    ------
    InputError
        For an unknown scope or pruner, a sparsity outside [0, 1), or a block larger than a matrix.
    """
    known = (*PRUNERS, AS_FOUND)
    if pruner not in known:
        nearest = next(iter(difflib.get_close_matches(pruner, known, n=1)), None)
        raise InputError("pruner", pruner, f"one of {', '.join(known)}", nearest)
    if not 0 <= sparsity < 1:
        raise InputError("sparsity", sparsity, "a share of blocks in [0, 1)", 0.99 if sparsity >= 1 else 0.0)
    # PyTorch and NumPy share this memory: writing to the array prunes the model.
    weights = {name: linear.weight.detach().numpy() for name, linear in prunable_linears(model, scope).items()}
    for weight in weights.values():
        _check_fits(block, weight.shape)
    before = {name: float(np.linalg.norm(weight.astype(np.float64))) for name, weight in weights.items()}
    for name, weight in weights.items() if pruner != AS_FOUND else ():
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        scores = PRUNERS[pruner](weight, block, rng)
        weight[~keep_mask(scores, kept_blocks(scores.size, sparsity), block, weight.shape)] = 0.0
    return report(weights, block, before)


def _check_fits(block: BlockShape, shape: tuple[int, int]) -> None:
    largest = BlockShape(min(block.rows, shape[0]), min(block.cols, shape[1]))
    if largest != block:
        raise InputError("block", str(block), f"at most the matrix it divides ({shape[0]}x{shape[1]})", largest)
