"""How activations and weights lie: tokens in slabs, weights in blocks or whole, and the operator over both.

A thread that keeps its tokens through the whole encoder finds their activations in its own L2 cache, where the kernel
before left them. Dividing the rows of a weight instead makes every thread read what the others have just written.
Within a slab the features of all its tokens lie side by side, so that walking the features touches whole cache lines
of consecutive memory, whatever the batch: no power-of-two strides that fall into the same cache sets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from codesign.blocks import BlockShape
from codesign.bsr import MIN_BLOCK_SPARSITY, BSRMatrix
from codesign.compiler.operators import Linear
from codesign.compiler.operators.linear import DENSE_ROWS, strip_of
from codesign.compiler.target import TargetSpec

#: How activations may lie: vectors of tokens side by side, or all features of a token.
FEATURE_MAJOR, TOKEN_MAJOR = LAYOUTS = ("feature-major", "token-major")
#: Vectors in a slab, the best first: a wide slab spares index arithmetic, a narrow one fits more shapes.
_VECTORS = (4, 3, 2, 1)


@dataclass(frozen=True)
class Slabs:
    """The layout of activations, and who works on what.

    Parameters
    ----------
    padded
        Columns that a sequence takes: whole vectors, or its tokens where a slab is one token.
    slab
        Tokens in a slab, a divisor of ``padded``.
    token_shares, row_shares
        Threads that divide the slabs, and threads that divide the rows of a weight; they multiply to all threads.
    """

    padded: int
    slab: int
    token_shares: int
    row_shares: int


def slabs_for(batch: int, seq: int, spec: TargetSpec, layout: str = FEATURE_MAJOR) -> Slabs:
    """Choose the slabs for ``batch`` sequences of ``seq`` tokens: the widest that divides evenly, if any does.

    Token-major activations are slabs of one token, which need no padding.
    """
    if layout == TOKEN_MAJOR:
        padded, slab = seq, 1
    else:
        padded = -(-seq // spec.lanes) * spec.lanes
        widths = [v * spec.lanes for v in _VECTORS if padded % (v * spec.lanes) == 0]
        even = (width for width in widths if batch * padded // width % spec.threads == 0)
        slab = next(even, widths[0])
    token_shares = math.gcd(batch * padded // slab, spec.threads)
    return Slabs(padded, slab, token_shares, spec.threads // token_shares)


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
    epilogue, dtype
        As of a `codesign.compiler.operators.Linear`.
    spec
        The target.
    strips
        Whether blocks are stored in strips, where they are tall enough.
    """
    return Linear(
        *shape,
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
    """Store a weight [out, in] in blocks where enough of them are zero, else whole: one block a panel of rows."""
    if block is not None:
        matrix = BSRMatrix.from_dense(weight, block)
        if matrix.block_sparsity >= MIN_BLOCK_SPARSITY:
            return matrix
    outputs, inputs = weight.shape
    block = BlockShape(panel_rows if outputs % panel_rows == 0 else 32, inputs)
    panels = block.grid((outputs, inputs))[0]
    data = np.pad(weight, ((0, panels * block.rows - outputs), (0, 0))).reshape(panels, block.rows, inputs)
    indptr = np.arange(panels + 1, dtype=np.int32)
    return BSRMatrix(data, np.zeros(panels, np.int32), indptr, (outputs, inputs), block)
