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
from codesign.compiler.formats import FP32, NumberFormat
from codesign.compiler.operators import Linear
from codesign.compiler.operators.packing import panel_rows, strip_of
from codesign.compiler.target import TargetSpec

#: How activations may lie: vectors of tokens side by side, or all features of a token.
FEATURE_MAJOR, TOKEN_MAJOR = LAYOUTS = ("feature-major", "token-major")
#: Vectors in a slab, the best first: a wide slab spares index arithmetic, a narrow one fits more shapes.
_VECTORS = (4, 3, 2, 1)
#: Rows of a panel of a dense weight where blocks are stored whole, and over token-major activations, where a tile has
#: whole vectors of rows.
_WHOLE_PANEL, _TOKEN_MAJOR_PANEL = 12, 48


@dataclass(frozen=True)
class Layout:
    """How the activations of an encoder lie, how its weights are stored, and who works on what.

    Parameters
    ----------
    spec
        The target.
    batch, seq
        Sequences, and tokens of one.
    padded
        Columns that a sequence takes: whole vectors, or its tokens where a slab is one token.
    slab
        Tokens in a slab, a divisor of ``padded``; 1 if activations are token-major.
    strips
        Whether blocks are stored in strips, where they are tall enough.
    number
        Number format of the linears.
    """

    spec: TargetSpec
    batch: int
    seq: int
    padded: int
    slab: int
    strips: bool
    number: NumberFormat = FP32

    @property
    def token_major(self) -> bool:
        """Whether all features of a token lie side by side."""
        return self.slab == 1

    @property
    def tokens(self) -> int:
        """Columns of the activations."""
        return self.batch * self.padded

    @property
    def vectors(self) -> int:
        """Vectors of tokens in a slab."""
        return self.slab // self.spec.lanes

    @property
    def token_shares(self) -> int:
        """Threads that divide the slabs; as many divide the rows of a weight as then are left."""
        return math.gcd(self.tokens // self.slab, self.spec.threads)

    @property
    def panel_rows(self) -> int:
        """Rows of a panel of a dense weight."""
        if self.token_major:
            return _TOKEN_MAJOR_PANEL
        return panel_rows(self.vectors) if self.strips else _WHOLE_PANEL

    def linear(self, shape: tuple[int, int], block: BlockShape, nnz: int, epilogue: str) -> Linear:
        """Return the operator of a linear layer over these activations.

        Parameters
        ----------
        shape, block, nnz
            Of the weight [out, in]: its size, its blocks, and how many are stored.
        epilogue
            As of a `codesign.compiler.operators.Linear`.
        """
        return Linear(
            *shape,
            tokens=self.tokens,
            rows=block.rows,
            cols=block.cols,
            nnz=nnz,
            shares=self.spec.threads // self.token_shares,
            epilogue=epilogue,
            slab=self.slab,
            token_shares=self.token_shares,
            strip=strip_of(block.rows, self.vectors) if self.strips else block.rows,
            format=self.number.name,
        )

    def stored(self, weight: np.ndarray, block: BlockShape | None) -> BSRMatrix:
        """Store a weight [out, in] in blocks where enough of them are zero, else whole: one block a panel of rows."""
        if block is not None:
            matrix = BSRMatrix.from_dense(weight, block)
            if matrix.block_sparsity >= MIN_BLOCK_SPARSITY:
                return matrix
        outputs, inputs = weight.shape
        block = BlockShape(self.panel_rows if outputs % self.panel_rows == 0 else 32, inputs)
        panels = block.grid((outputs, inputs))[0]
        data = np.pad(weight, ((0, panels * block.rows - outputs), (0, 0))).reshape(panels, block.rows, inputs)
        indptr = np.arange(panels + 1, dtype=np.int32)
        return BSRMatrix(data, np.zeros(panels, np.int32), indptr, (outputs, inputs), block)


def layout_for(
    batch: int,
    seq: int,
    spec: TargetSpec,
    layout: str = FEATURE_MAJOR,
    *,
    strips: bool = True,
    number: NumberFormat = FP32,
) -> Layout:
    """Lay out ``batch`` sequences of ``seq`` tokens: in the widest slabs that divide evenly, if any do.

    Token-major activations are slabs of one token, which need no padding; blocks are then stored whole. A format that
    takes several inputs at once turns as many vectors of tokens around together.
    """
    if layout == TOKEN_MAJOR:
        return Layout(spec, batch, seq, seq, 1, strips=False, number=number)
    together = number.depth * spec.lanes
    padded = -(-seq // together) * together
    widths = [v * spec.lanes for v in _VECTORS if v % number.depth == 0 and padded % (v * spec.lanes) == 0]
    even = (width for width in widths if batch * padded // width % spec.threads == 0)
    return Layout(spec, batch, seq, padded, next(even, widths[0]), strips, number)
