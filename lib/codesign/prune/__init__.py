"""Pruning: it turns weights into exact zeros and leaves the model an ordinary dense one.

Nothing else crosses to the compiler. An algorithm is a `codesign.prune.base.Pruner`; which blocks go, and what was
achieved, is the same for all of them, in one shot (`prune_model`) and while training (`codesign.prune.sparsifier`).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

import torch
import transformers

from codesign.blocks import BlockShape
from codesign.encoder import prunable_linears
from codesign.errors import InputError, one_of
from codesign.prune import algorithms
from codesign.prune.allocation import check_fits, keep
from codesign.prune.base import Pruner, spread
from codesign.prune.report import AS_FOUND, PruneReport, norm, report

for _module in pkgutil.iter_modules(algorithms.__path__, f"{algorithms.__name__}."):
    importlib.import_module(_module.name)

#: Every algorithm by name.
PRUNERS = Pruner.known
#: Those that need no training.
ONE_SHOT = tuple(name for name, pruner in PRUNERS.items() if pruner.one_shot)


@torch.no_grad()
def prune_model(
    model: transformers.BertModel,
    *,
    scope: str,
    pruner: str,
    block: BlockShape,
    sparsity: float,
    seed: int,
    allocation: str = "uniform",
) -> PruneReport:
    """Prune a model in place, in one shot.

    Parameters
    ----------
    model
        Its weights are overwritten; pruned elements become exactly 0.
    scope
        One of `codesign.encoder.SCOPES`.
    pruner
        Name in `ONE_SHOT`, or `AS_FOUND`: nothing is pruned, and the report says what there is already.
    block
        1x1 prunes single weights. It need not divide a matrix, but must not be larger than one.
    sparsity
        Share of blocks to remove, in [0, 1); without effect on a model that is taken as it was found.
    seed
        Seed of random choices; the mask of a matrix depends on its name and the seed, not on the scope.
    allocation
        One of `ALLOCATIONS`. With ``uniform`` every matrix loses the same share of its blocks, so that matrices of
        equal shape keep equal numbers of blocks and can share one compiled kernel.

    Returns
    -------
    PruneReport
        What was achieved.

    Raises
    ------
    InputError
        For an unknown scope, pruner or allocation, a pruner that must be trained, a sparsity outside [0, 1) or beyond
        the allocation, or a block larger than a matrix.
    """
    refuse_untrained(pruner)
    weights = {name: linear.weight.detach() for name, linear in prunable_linears(model, scope).items()}
    check_blocks(block, weights)
    check_fits({name: block.grid(weight.shape) for name, weight in weights.items()}, sparsity, allocation)
    arrays = {name: weight.numpy() for name, weight in weights.items()}  # the same memory
    before = norm(arrays.values())
    if pruner == AS_FOUND:
        return report(arrays, block, before, AS_FOUND)
    judge = PRUNERS[pruner](block, seed)
    kept = keep({name: judge.scores(name, weight) for name, weight in weights.items()}, sparsity, allocation)
    for name, weight in weights.items():
        weight.masked_fill_(spread(~kept[name], block, weight.shape), 0.0)
    return report(arrays, block, before, allocation)


def refuse_untrained(pruner: str) -> None:
    """Refuse what `prune_model` does not take: an unknown pruner, or one whose masks come from training.

    Raises
    ------
    InputError
        Naming those that it takes.
    """
    if pruner in PRUNERS and pruner not in ONE_SHOT:
        raise InputError("pruner", pruner, f"one that needs no training: {', '.join((*ONE_SHOT, AS_FOUND))}")
    one_of("pruner", pruner, (*ONE_SHOT, AS_FOUND))


def check_blocks(block: BlockShape, weights: Mapping[str, torch.Tensor]) -> None:
    """Refuse a block that is larger than one of the matrices [out, in].

    Raises
    ------
    InputError
        Naming the largest that fits.
    """
    for weight in weights.values():
        rows, cols = weight.shape
        largest = BlockShape(min(block.rows, rows), min(block.cols, cols))
        if largest != block:
            expected = f"at most the matrix it divides ({rows}x{cols})"
            raise InputError("block", str(block), expected, largest)
