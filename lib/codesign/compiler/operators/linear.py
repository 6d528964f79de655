"""Linear layer with a block-sparse (or dense) weight: ``Y[out, tokens] = W @ X[in, tokens]`` plus epilogue.

Activations lie in slabs of tokens, ``[slabs, features, tokens of a slab]`` (`codesign.compiler.layout`).
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from codesign.blocks import BlockShape
from codesign.bsr import BSRMatrix
from codesign.compiler import scalar
from codesign.compiler.formats import FORMATS, FP32, NumberFormat
from codesign.compiler.formats.int8 import LARGEST_ACTIVATION, quantised
from codesign.compiler.operators.base import Argument, Operator, activations, as_matrix, as_slabs
from codesign.compiler.operators.packing import most_groups, pack, slack, strip_order
from codesign.compiler.tvm_compat import T, tirx
from codesign.errors import InputError, one_of

#: What may follow the product inside the kernel, before the result leaves the registers.
EPILOGUES = ("bias", "bias_gelu", "bias_residual")


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
    format
        Number format of weights and activations, one of `FORMATS`; what follows the product is float32.

    Raises
    ------
    InputError
        If the strip, the slab, the epilogue or the format does not fit.
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
    format: str = FP32.name
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
        one_of("format", self.format, FORMATS)

    @property
    def number(self) -> NumberFormat:
        """The number format."""
        return FORMATS[self.format]

    @property
    def tolerance(self) -> float:
        return self.number.tolerance

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
    def joined(self) -> int:
        """Blocks that are stored as one, a group; most often one."""
        return self.number.joined(self.cols)

    @property
    def groups(self) -> int:
        """Groups that are allocated, of all strips."""
        return most_groups(self.nnz, self.block_rows, self.joined)

    @property
    def words(self) -> int:
        """Lanes that the inputs of a group take."""
        return self.cols * self.joined // self.number.depth

    @property
    def area(self) -> int:
        """Weights of a strip of a group."""
        return self.cols * self.joined * self.strip

    @property
    def is_dense(self) -> bool:
        """Whether the weight is stored whole."""
        return self.cols == self.inputs and self.nnz == self.block_rows

    @property
    def flops(self) -> int:
        return 2 * self.tokens * self.nnz * self.rows * self.cols

    def arguments(self) -> list[Argument]:
        number, joined = self.number, self.joined
        stored = self.groups * self.strips + slack(self.area, number)
        scales = [Argument("scales", (self.outputs,)), Argument("steps", (self.tokens // self.slab, self.slab))]
        residual = [self._outputs("residual")][: self.epilogue == "bias_residual"]
        return [
            replace(activations("x", self.inputs, self.tokens, self.slab), dtype=number.activations),
            Argument("data", (stored, self.words, self.strip * number.depth), number.weights),
            Argument("indices", (self.groups, joined) if joined > 1 else (self.groups,), "int32"),
            Argument("indptr", (self.block_rows + 1,), "int32"),
            Argument("bounds", (self.shares + 1,), "int32"),
            Argument("bias", (self.outputs,)),
            *(scales if number.scaled else []),
            *residual,
            self._outputs("y"),
        ]

    def _outputs(self, name: str) -> Argument:
        return activations(name, self.outputs, self.tokens, self.slab)

    def body(self, *buffers: Any) -> None:
        x, data, indices, indptr, *_, y = buffers
        sums, depth = self.number.sums, self.number.depth
        total = None if sums == "float32" else T.alloc_buffer((1,), sums)
        loops = T.serial(0, self.tokens // self.slab), T.serial(0, self.outputs), T.serial(0, self.slab)
        with loops[0] as s, loops[1] as n, loops[2] as m:
            into, at = (y, [s, n, m]) if total is None else (total, [0])
            T.buffer_store(into, tirx.const(0, sums), at)
            row = n // self.rows
            with T.serial(0, indptr[row + 1] - indptr[row]) as j, T.serial(0, self.cols * self.joined) as c:
                group = indptr[row] + j
                stored = self.stored(indptr, row, j, n % self.rows // self.strip)
                weight = data[stored, c // depth, n % self.strip * depth + c % depth]
                product = T.cast(weight, sums) * T.cast(x[s, self.column(indices, group, c), m], sums)
                T.buffer_store(into, into[tuple(at)] + product, at)
            T.buffer_store(y, self.finish(into[tuple(at)], buffers, (s, n, m)), [s, n, m])

    def stored(self, indptr: Any, row: Any, j: Any, strip: Any) -> Any:
        """Where strip ``strip`` of the ``j``-th block of block-row ``row`` is stored: first index into ``data``."""
        if self.strips == 1:
            return indptr[row] + j
        return indptr[row] * self.strips + strip * (indptr[row + 1] - indptr[row]) + j

    def attributes(self) -> str:
        """As of every operator; what a task did not have in its first version is only mentioned where it differs."""
        fields = {"kind": self.kind, **dataclasses.asdict(self)}
        if self.strips == 1:
            del fields["strip"]
        if self.number is FP32:
            del fields["format"]
        return json.dumps(fields, sort_keys=True)

    def column(self, indices: Any, group: Any, c: Any) -> Any:
        """Input feature of column ``c`` of a group; the padding of an edge block reads a real column times zero."""
        block, c = (indices[group], c) if self.joined == 1 else (indices[group, c // self.cols], c % self.cols)
        column = block * self.cols + c
        return column if self.inputs % self.cols == 0 else tirx.min(column, self.inputs - 1)

    def packing(self) -> tuple[int, int, NumberFormat]:
        """How `pack` lays a weight out for this operator: its last arguments."""
        return self.shares, self.strip, self.number

    def finish(self, total: Any, buffers: Sequence[Any], place: tuple[Any, Any, Any]) -> Any:
        """Scale one sum and apply the epilogue, at a place of the output: slab, feature, token of the slab."""
        slab, n, m = place
        bias, *more, _ = buffers[5:]
        if self.number.scaled:
            scales, steps, *more = more
            total = T.cast(total, "float32") * scales[n] * steps[slab, m]
        total = total + bias[n]
        if self.epilogue == "bias_gelu":
            return scalar.gelu(total)
        return total + more[0][place] if more else total

    def oracle(self, *inputs: np.ndarray) -> np.ndarray:
        x, data, indices, indptr, _, bias, *more = inputs
        strips = data[strip_order(indptr, self.strips)]  # [groups, strips, words, rows of a strip * inputs of a word]
        strips = strips.reshape(*strips.shape[:3], self.strip, -1).transpose(0, 1, 3, 2, 4)
        whole = strips.reshape(-1, self.rows, self.joined, self.cols)[: indptr[-1]]
        grid = BlockShape(self.rows, self.cols).grid((self.outputs, self.inputs))
        blocks = np.zeros((*grid, self.rows, self.cols))
        block_row = np.repeat(np.arange(self.block_rows), np.diff(indptr))
        for part, columns in enumerate(indices[: indptr[-1]].reshape(-1, self.joined).T):
            blocks[block_row, columns] += whole[:, :, part]  # padding adds zeros
        weight = blocks.transpose(0, 2, 1, 3).reshape(grid[0] * self.rows, -1)[: self.outputs, : self.inputs]
        y = weight @ as_matrix(x).astype(np.float64)
        if self.number.scaled:
            scales, steps, *more = more
            y = y * scales[:, None] * steps.reshape(-1)
        y = y + bias[:, None]
        if self.epilogue == "bias_gelu":
            y = y * 0.5 * (1.0 + np.vectorize(math.erf)(y / np.sqrt(2.0)))
        return as_slabs(y, self.slab) + (more[0] if more else 0.0)

    def example_inputs(self, rng: np.random.Generator) -> list[np.ndarray]:
        x, *_, bias = super().example_inputs(rng)[:6]
        columns = -(-self.inputs // self.cols)
        stored = np.zeros((self.block_rows, columns), np.float32)
        stored.flat[rng.choice(stored.size, self.nnz, replace=False)] = 1.0
        mask = np.kron(stored, np.ones((self.rows, self.cols), np.float32))[: self.outputs, : self.inputs]
        values = rng.standard_normal(mask.shape, np.float32)
        values[values == 0] = 1.0  # once in ten million draws; a block of one weight would not be stored
        matrix, scales = BSRMatrix.from_dense(mask * values, BlockShape(self.rows, self.cols)), []
        residual = [rng.standard_normal(self._outputs("residual").shape).astype(np.float32)]
        if self.number.scaled:
            most = LARGEST_ACTIVATION
            x = rng.integers(-most, most, x.shape, x.dtype, endpoint=True)
            matrix, of_rows = quantised(matrix)
            of_tokens = rng.uniform(0.5, 1.5, (len(x), self.slab)) / most
            scales = [of_rows, of_tokens.astype(np.float32)]
        return [x, *pack(matrix, *self.packing()), bias, *scales, *residual[: self.epilogue == "bias_residual"]]
