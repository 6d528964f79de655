"""Blocks of weights in PyTorch: the few operations that every algorithm is written in, on any device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from codesign.blocks import BlockShape


def block_sums(values: Tensor, block: BlockShape) -> Tensor:
    """Sum each block: [out, in] -> [block-rows, block-columns]; ``block`` need not divide the matrix."""
    rows, cols = grid(values, block)
    pad = cols * block.cols - values.shape[1], rows * block.rows - values.shape[0]
    if any(pad):
        values = functional.pad(values, (0, pad[0], 0, pad[1]))
    return values.reshape(rows, block.rows, cols, block.cols).sum((1, 3))


def block_sizes(matrix: Tensor, block: BlockShape) -> Tensor:
    """Count the real (not padded) elements of each block: float64 [block-rows, block-columns]."""
    rows, cols = grid(matrix, block)
    heights = matrix.new_full((rows,), block.rows, dtype=torch.float64)
    widths = matrix.new_full((cols,), block.cols, dtype=torch.float64)
    heights[-1] -= rows * block.rows - matrix.shape[0]
    widths[-1] -= cols * block.cols - matrix.shape[1]
    return torch.outer(heights, widths)


def root_mean_square(weight: Tensor, block: BlockShape) -> Tensor:
    """L2 norm of each block over the square root of its real elements.

    Without that division the edge blocks of a matrix that ``block`` does not divide would count less for being small.

    Returns
    -------
    Tensor
        float64 [block-rows, block-columns]. Double precision, so that no order of summation decides a mask.
    """
    return (block_sums(weight.double().square(), block) / block_sizes(weight, block)).sqrt()


def spread(per_block: Tensor, block: BlockShape, shape: torch.Size) -> Tensor:
    """Give each element the value of its block: [block-rows, block-columns] -> [out, in]."""
    rows, cols = per_block.shape
    whole = per_block[:, None, :, None].expand(rows, block.rows, cols, block.cols)
    return whole.reshape(rows * block.rows, cols * block.cols)[: shape[0], : shape[1]]


def grid(matrix: Tensor, block: BlockShape) -> tuple[int, int]:
    """Block-rows and block-columns of a matrix [out, in]."""
    return block.grid((matrix.shape[0], matrix.shape[1]))
