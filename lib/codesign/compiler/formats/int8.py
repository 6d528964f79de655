"""Weights of 8 bits, activations of up to 16: two inputs a lane, summed exactly.

The instruction is the same for activations of 8 and of 16 bits, and so is its speed (decision 0033). So activations
keep 16, and only weights are rounded to 8.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from codesign.bsr import BSRMatrix
from codesign.compiler.formats.base import NumberFormat
from codesign.compiler.instructions import PAIRS

#: The largest weight and the largest activation, symmetric: no sum of two products overflows.
LARGEST, LARGEST_ACTIVATION = 127, 2**15 - 1
#: The most that the weights of a row may add up to, in size, so that no sum of theirs overflows.
_MOST_OF_A_ROW = (2**31 - 1) // LARGEST_ACTIVATION
#: The tolerance: sums are exact, and what follows them rounds a few times.
INT8 = NumberFormat("int8", "int8", "int16", "int32", depth=2, tolerance=1e-5, dot=PAIRS)


def quantised(matrix: BSRMatrix) -> tuple[BSRMatrix, np.ndarray]:
    """Round weights to 8 bits, those of a row in equal steps.

    The largest of a row becomes 127, or less where the sum of all would then be more than a sum has room for: in a
    dense row of 3072 inputs, about 90. Zeros stay zeros, so a pruned block stays one.

    Returns
    -------
    tuple[BSRMatrix, np.ndarray]
        The matrix with data of int8, and what a row is to be multiplied by, float32 [out].
    """
    sizes = np.abs(matrix.data)
    largest, total = np.zeros((2, matrix.grid[0], matrix.block.rows), np.float32)
    count = np.zeros(total.shape, np.int64)
    block_row = np.repeat(np.arange(matrix.grid[0]), np.diff(matrix.indptr))
    np.maximum.at(largest, block_row, sizes.max(axis=2))
    np.add.at(total, block_row, sizes.sum(axis=2))
    np.add.at(count, block_row, np.count_nonzero(sizes, axis=2))
    room = np.maximum(_MOST_OF_A_ROW - count / 2, 1)  # rounding adds half a step to each
    scales = np.maximum(largest / LARGEST, total / room).astype(np.float32)
    scales[scales == 0] = 1
    data = np.rint(matrix.data / scales[block_row, :, None]).astype(np.int8)
    return replace(matrix, data=data), scales.reshape(-1)[: matrix.shape[0]]
