"""Blocks of weights in PyTorch: the few operations that every algorithm is written in, on any device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from codesign.blocks import BlockShape


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
