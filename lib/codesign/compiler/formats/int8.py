"""Weights of 8 bits, activations of up to 16: two inputs a lane, summed exactly.

The instruction is the same for activations of 8 and of 16 bits, and so is its speed (decision 0033). So activations
keep what their sums have room for, 13 bits and more, and only weights are rounded to 8.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from codesign.bsr import BSRMatrix
from codesign.compiler.formats.base import NumberFormat
from codesign.compiler.instructions import PAIRS

#: The largest weight: symmetric, so that no sum of two products overflows.
LARGEST = 127
#: The tolerance: sums are exact, and what follows them rounds a few times.
INT8 = NumberFormat("int8", "int8", "int16", "int32", depth=2, tolerance=1e-5, dot=PAIRS)


def largest_activation(inputs: int) -> int:
    """Return the largest activation for which no sum over so many inputs overflows 32 bits: 5504 for 3072 of them."""
    return min(2**15 - 1, (2**31 - 1) // (LARGEST * inputs))


def quantised(matrix: BSRMatrix) -> tuple[BSRMatrix, np.ndarray]:
    """Round weights to 8 bits.

    Zeros stay zeros, so a pruned block stays one.

    Returns
    -------
    tuple[BSRMatrix, np.ndarray]
        The matrix with data of int8, and what a row is to be multiplied by, float32 [out].
    """
    largest = np.zeros((matrix.grid[0], matrix.block.rows), np.float32)
    block_row = np.repeat(np.arange(matrix.grid[0]), np.diff(matrix.indptr))
    np.maximum.at(largest, block_row, np.abs(matrix.data).max(axis=2))
    scales = np.where(largest == 0, np.float32(1), largest / np.float32(LARGEST))
    data = np.rint(matrix.data / scales[block_row, :, None]).astype(np.int8)
    return replace(matrix, data=data), scales.reshape(-1)[: matrix.shape[0]]
