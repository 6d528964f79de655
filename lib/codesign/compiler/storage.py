"""How the weight of a linear layer is stored: in blocks, or whole in panels of rows; and the operator that reads it."""

from __future__ import annotations

import numpy as np

from codesign.blocks import BlockShape
from codesign.bsr import MIN_BLOCK_SPARSITY, BSRMatrix
from codesign.compiler.operators import Linear
from codesign.compiler.operators.linear import DENSE_ROWS, strip_of
from codesign.compiler.slabs import Slabs
from codesign.compiler.target import TargetSpec


def linear_over(
    slabs: Slabs,
    batch: int,
    shape: tuple[int, int],
    block: BlockShape,
    nnz: int,
    epilogue: str,
    spec: TargetSpec,
    *,
    strips: bool = True,
    dtype: str = "float32",
) -> Linear:
    """Return the operator of a linear layer over activations in slabs, as an encoder has it.

    Parameters
    ----------
    slabs, batch
        The layout of the activations: of each of ``batch`` sequences.
    shape, block, nnz
        Of the weight [out, in]: its size, its blocks, and how many are stored.
    epilogue
        One of `codesign.compiler.operators.linear.EPILOGUES`.
    spec
        The target.
    strips
        Whether blocks are stored in strips, where they are tall enough.
    dtype
        Of the stored weights, one of `codesign.compiler.operators.linear.DTYPES`.
    """
    return Linear(
        outputs=shape[0],
        inputs=shape[1],
        tokens=batch * slabs.padded,
        rows=block.rows,
        cols=block.cols,
        nnz=nnz,
        shares=slabs.row_shares,
        epilogue=epilogue,
        slab=slabs.slab,
        token_shares=slabs.token_shares,
        strip=strip_of(block.rows, slabs.slab // spec.lanes) if strips else block.rows,
        dtype=dtype,
    )


def stored_as(weight: np.ndarray, block: BlockShape | None, panel_rows: int = DENSE_ROWS) -> BSRMatrix:
    """Store a weight [out, in] in blocks where enough of them are zero, else whole, in panels of rows."""
    if block is not None:
        matrix = BSRMatrix.from_dense(weight, block)
        if matrix.block_sparsity >= MIN_BLOCK_SPARSITY:
            return matrix
    return whole(weight, panel_rows)


def whole(weight: np.ndarray, rows: int = DENSE_ROWS) -> BSRMatrix:
    """Store a matrix [out, in] whole, in panels of rows: one block a block-row, zeros included."""
    outputs, inputs = weight.shape
    block = BlockShape(rows if outputs % rows == 0 else 32, inputs)
    panels = block.grid((outputs, inputs))[0]
    data = np.pad(weight, ((0, panels * block.rows - outputs), (0, 0))).reshape(panels, block.rows, inputs)
    indptr = np.arange(panels + 1, dtype=np.int32)
    return BSRMatrix(data, np.zeros(panels, np.int32), indptr, (outputs, inputs), block)
