"""Linear layer with a block-sparse (or dense) weight: ``Y[out, tokens] = W @ X[in, tokens]`` plus epilogue.

Activations lie in slabs of tokens, ``[slabs, features, tokens of a slab]`` (`codesign.compiler.layout`).
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from codesign.blocks import BlockShape
from codesign.bsr import BSRMatrix
from codesign.compiler import scalar
from codesign.compiler.operators.base import Argument, Operator, activations, as_matrix, as_slabs
from codesign.compiler.tvm_compat import T, tirx
from codesign.errors import InputError

#: What may follow the product inside the kernel, before the result leaves the registers.
EPILOGUES = ("bias", "bias_gelu", "bias_residual")
#: Accumulators of the register tile that a strip of a block, or a panel of a dense weight, is made for. A dense weight
#: has no index to load, and more accumulators make more multiply-adds of a load.
STRIP_TILE, PANEL_TILE = 16, 24


@dataclass(frozen=True)
class Linear(Operator):
    """Sizes of a linear layer whose weight is stored as BSR.

    A dense weight is the special case of one block per block-row that spans all inputs (``cols == inputs``), so sparse
    and dense layers share kernels, tuning and this definition.

    Parameters
    ----------
    outputs, inputs
        True shape of the weight.
    tokens
        Columns of the activations, padded to whole vectors.
    rows, cols
        Shape of a block.
    nnz
        Stored blocks.
    shares
        Threads that the block-rows are divided among, by non-zeros: share ``p`` is ``bounds[p]:bounds[p + 1]``.
    epilogue
        One of `EPILOGUES`.
    slab
        Tokens in a slab of the activations; 0 for all in one.
    token_shares
        Threads that the slabs are divided among; with ``shares`` it multiplies to the threads in use.
    strip
        Rows that lie side by side in memory, a divisor of ``rows``; 0 for all rows of a block. With fewer, a block-row
        is stored strip by strip, each through all of its blocks: a kernel that takes a strip at a time then reads its
        weights in the order in which they are stored.

    Raises
    ------
    InputError
        If the strip, the slab or the epilogue does not fit.
    """

    outputs: int
    inputs: int
    tokens: int
    rows: int
    cols: int
    nnz: int
    shares: int
    epilogue: str
    slab: int = 0
    token_shares: int = 1
    strip: int = 0
    kind: ClassVar[str] = "linear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "slab", self.slab or self.tokens)
        object.__setattr__(self, "strip", self.strip or self.rows)
        if self.rows % self.strip:
            raise InputError("strip", self.strip, f"a divisor of the {self.rows} rows of a block", self.rows)
        if self.tokens % self.slab or self.tokens // self.slab % self.token_shares:
            expected = f"a divisor of {self.tokens} tokens that gives {self.token_shares} threads equal slabs"
            raise InputError("slab", self.slab, expected, self.tokens // self.token_shares)
        if self.epilogue not in EPILOGUES:
            raise InputError("epilogue", self.epilogue, f"one of {', '.join(EPILOGUES)}", EPILOGUES[0])

    @property
    def block_rows(self) -> int:
        """Block-rows of the weight."""
        return -(-self.outputs // self.rows)

    @property
    def threads(self) -> int:
        """Threads in use."""
        return self.shares * self.token_shares

    @property
    def strips(self) -> int:
        """Strips of a block."""
        return self.rows // self.strip

    @property
    def is_dense(self) -> bool:
        """Whether the weight is stored whole."""
        return self.cols == self.inputs and self.nnz == self.block_rows

    @property
    def flops(self) -> int:
        return 2 * self.tokens * self.nnz * self.rows * self.cols

    def arguments(self) -> list[Argument]:
        residual = [self._outputs("residual")][: self.epilogue == "bias_residual"]
        return [
            activations("x", self.inputs, self.tokens, self.slab),
            Argument("data", (max(self.nnz, 1) * self.strips, self.cols, self.strip)),
            Argument("indices", (max(self.nnz, 1),), "int32"),
            Argument("indptr", (self.block_rows + 1,), "int32"),
            Argument("bounds", (self.shares + 1,), "int32"),
            Argument("bias", (self.outputs,)),
            *residual,
            self._outputs("y"),
        ]

    def _outputs(self, name: str) -> Argument:
        return activations(name, self.outputs, self.tokens, self.slab)

    def body(self, *buffers: Any) -> None:
        x, data, indices, indptr, _, bias, *residual, y = buffers
        loops = T.serial(0, self.tokens // self.slab), T.serial(0, self.outputs), T.serial(0, self.slab)
        with loops[0] as s, loops[1] as n, loops[2] as m:
            T.buffer_store(y, scalar.f32(0.0), [s, n, m])
            row = n // self.rows
            with T.serial(0, indptr[row + 1] - indptr[row]) as j, T.serial(0, self.cols) as c:
                block = indptr[row] + j
                stored = self.stored(indptr, row, j, n % self.rows // self.strip)
                product = data[stored, c, n % self.strip] * x[s, self.column(indices[block], c), m]
                T.buffer_store(y, y[s, n, m] + product, [s, n, m])
            value = self.finish(y[s, n, m], bias[n], residual[0][s, n, m] if residual else None)
            T.buffer_store(y, value, [s, n, m])

    def stored(self, indptr: Any, row: Any, j: Any, strip: Any) -> Any:
        """Where strip ``strip`` of the ``j``-th block of block-row ``row`` is stored: first index into ``data``."""
        if self.strips == 1:
            return indptr[row] + j
        return indptr[row] * self.strips + strip * (indptr[row + 1] - indptr[row]) + j

    def attributes(self) -> str:
        """As of every operator; a block stored whole is not mentioned, and stays the task that it was before strips."""
        fields = {"kind": self.kind, **dataclasses.asdict(self)}
        if self.strips == 1:
            del fields["strip"]
        return json.dumps(fields, sort_keys=True)

    def column(self, block_column: Any, c: Any) -> Any:
        """Input feature of column ``c`` of a block; the padding of an edge block reads a real column times zero."""
        column = block_column * self.cols + c
        return column if self.inputs % self.cols == 0 else tirx.min(column, self.inputs - 1)

    def packing(self) -> tuple[int, int]:
        """How `pack` lays a weight out for this operator: its last arguments."""
        return self.shares, self.strip

    def finish(self, total: Any, bias: Any, residual: Any | None) -> Any:
        """Apply the epilogue to one accumulated element."""
        total = total + bias
        if self.epilogue == "bias_gelu":
            return scalar.gelu(total)
        return total if residual is None else total + residual

    def oracle(self, *inputs: np.ndarray) -> np.ndarray:
        x, data, indices, indptr, _, bias, *residual = inputs
        strips = data[strip_order(indptr, self.strips)]  # [blocks, strips, cols, rows of a strip]
        grid = BlockShape(self.rows, self.cols).grid((self.outputs, self.inputs))
        blocks = np.zeros((*grid, self.rows, self.cols))
        block_row = np.repeat(np.arange(self.block_rows), np.diff(indptr))
        whole = strips.transpose(0, 1, 3, 2).reshape(-1, self.rows, self.cols)
        blocks[block_row, indices[: self.nnz]] = whole[: self.nnz]
        weight = blocks.transpose(0, 2, 1, 3).reshape(grid[0] * self.rows, -1)[: self.outputs, : self.inputs]
        y = weight @ as_matrix(x).astype(np.float64) + bias[:, None]
        if self.epilogue == "bias_gelu":
            y = y * 0.5 * (1.0 + np.vectorize(math.erf)(y / np.sqrt(2.0)))
        return as_slabs(y, self.slab) + (residual[0] if residual else 0.0)

    def example_inputs(self, rng: np.random.Generator) -> list[np.ndarray]:
        x, *_, bias = super().example_inputs(rng)[:6]
        columns = -(-self.inputs // self.cols)
        stored = np.zeros((self.block_rows, columns), np.float32)
        stored.flat[rng.choice(stored.size, self.nnz, replace=False)] = 1.0
        mask = np.kron(stored, np.ones((self.rows, self.cols), np.float32))[: self.outputs, : self.inputs]
        values = rng.standard_normal(mask.shape, np.float32)
        values[values == 0] = 1.0  # once in ten million draws; a block of one weight would not be stored
        weight = mask * values
        packed = pack(BSRMatrix.from_dense(weight, BlockShape(self.rows, self.cols)), *self.packing())
        residual = [rng.standard_normal(self._outputs("residual").shape).astype(np.float32)]
        return [x, *packed, bias, *residual[: self.epilogue == "bias_residual"]]


class PackedLinear(NamedTuple):
    """A weight as the kernels read it, in calling order: the rows of a strip, or of a whole block, lie side by side.

    ``data`` is [nnz * strips, cols, rows of a strip], as `Linear.stored` counts.
    """

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    bounds: np.ndarray


def strip_rows(vectors: int) -> int:
    """Rows of a strip where a slab has so many vectors of tokens: 4 for four of them, 16 for one."""
    return max(4, STRIP_TILE // vectors // 4 * 4)


def panel_rows(vectors: int) -> int:
    """Rows of a panel of a dense weight where a slab has so many vectors of tokens: 6 for four, 24 for one."""
    return max(6, PANEL_TILE // vectors)


def strip_of(rows: int, vectors: int) -> int:
    """Rows of a strip for blocks of ``rows``: `strip_rows`, where these divide them; else blocks stay whole."""
    strip = strip_rows(vectors)
    return strip if rows % strip == 0 else rows


def strip_order(indptr: np.ndarray, strips: int) -> np.ndarray:
    """Where the strips of each block are stored: int64 [blocks, strips], at least one block."""
    counts = np.diff(indptr)
    first = np.repeat(indptr[:-1], counts)
    places = first * strips + np.arange(indptr[-1]) - first
    found = places[:, None] + np.repeat(counts, counts)[:, None] * np.arange(strips)
    return found if len(found) else np.arange(strips)[None]


def pack(matrix: BSRMatrix, shares: int, strip: int = 0) -> PackedLinear:
    """Lay a BSR matrix out for the kernels and divide its block-rows into ``shares`` of about equal non-zeros.

    Parameters
    ----------
    matrix
        The weight.
    shares, strip
        As in `Linear`.
    """
    data = np.ascontiguousarray(matrix.data.transpose(0, 2, 1))
    indices = matrix.indices
    if matrix.nnz_blocks == 0:  # TVM has no empty tensors; nothing points at this block
        data, indices = np.zeros((1, *data.shape[1:]), np.float32), np.zeros(1, np.int32)
    # an empty row costs its epilogue, hence the + 1
    cost = np.concatenate([[0], np.cumsum(np.diff(matrix.indptr) + 1)])
    bounds = np.searchsorted(cost, np.linspace(0, cost[-1], shares + 1)).astype(np.int32)
    bounds[0], bounds[-1] = 0, len(matrix.indptr) - 1
    blocks, cols, rows = data.shape
    strips = rows // (strip or rows)
    if strips > 1:
        stored = np.empty((blocks * strips, cols, strip), np.float32)
        stored[strip_order(matrix.indptr, strips)] = data.reshape(blocks, cols, strips, strip).transpose(0, 2, 1, 3)
        data = stored
    return PackedLinear(data, indices, matrix.indptr, bounds)
