"""Linear layer whose block-rows all store equally many blocks: every loop is static, so TVM's own rules schedule it.

The same function as a `Linear` with a bias, and no family of ours: what TVM's scheduler makes of sparsity by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codesign.compiler.operators.base import ATTRIBUTE, Argument, Operator
from codesign.compiler.tvm_compat import te, tirx
from codesign.errors import InputError


@dataclass(frozen=True)
class RowBalanced(Operator):
    """Sizes of a row-balanced linear layer, over feature-major activations.

    Parameters
    ----------
    outputs, inputs
        Shape of the weight: whole blocks.
    tokens
        Columns of the activations.
    rows, cols
        Shape of a block.
    per_row
        Blocks stored in each block-row.

    Raises
    ------
    InputError
        If blocks do not divide the weight, or a block-row has no ``per_row`` blocks.
    """

    outputs: int
    inputs: int
    tokens: int
    rows: int
    cols: int
    per_row: int
    kind: ClassVar[str] = "row_balanced"
    by_families: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name, extent, side in (("rows", self.outputs, self.rows), ("cols", self.inputs, self.cols)):
            if extent % side:
                nearest = max(n for n in range(1, side + 1) if extent % n == 0)
                raise InputError(name, side, f"a divisor of {extent}: static loops have no edge blocks", nearest)
        columns = self.inputs // self.cols
        if not 1 <= self.per_row <= columns:
            nearest = min(max(self.per_row, 1), columns)
            raise InputError("per_row", self.per_row, f"1 to {columns}, the blocks of a block-row", nearest)

    @property
    def block_rows(self) -> int:
        """Block-rows of the weight."""
        return self.outputs // self.rows

    @property
    def flops(self) -> int:
        return 2 * self.tokens * self.outputs * self.per_row * self.cols

    def arguments(self) -> list[Argument]:
        return [
            Argument("x", (self.inputs, self.tokens)),
            Argument("data", (self.block_rows, self.per_row, self.cols, self.rows)),
            Argument("indices", (self.block_rows, self.per_row), "int32"),
            Argument("bias", (self.block_rows, self.rows)),
            Argument("y", (self.block_rows, self.rows, self.tokens)),
        ]

    def unscheduled(self) -> tirx.PrimFunc:
        """The task as a tensor expression: reductions and a gather that TVM's rules can tile."""
        *inputs, _ = self.arguments()
        x, data, indices, bias = (te.placeholder(a.shape, a.dtype, name=a.name) for a in inputs)
        j, c = te.reduce_axis((0, self.per_row), name="j"), te.reduce_axis((0, self.cols), name="c")

        def product(i: Any, r: Any, m: Any) -> Any:
            return te.sum(data[i, j, c, r] * x[indices[i, j] * self.cols + c, m], axis=[j, c])

        shape = self.arguments()[-1].shape
        total = te.compute(shape, product, name="total")
        y = te.compute(shape, lambda i, r, m: total[i, r, m] + bias[i, r], name="y")
        function = te.create_prim_func([x, data, indices, bias, y])
        return function.with_attr("global_symbol", "main").with_attr(ATTRIBUTE, self.attributes())

    def oracle(self, *inputs: np.ndarray) -> np.ndarray:
        x, data, indices, bias = inputs
        weight = np.zeros((self.block_rows, self.rows, self.inputs // self.cols, self.cols))
        block_row = np.repeat(np.arange(self.block_rows), self.per_row)
        weight[block_row, :, indices.reshape(-1)] = data.transpose(0, 1, 3, 2).reshape(-1, self.rows, self.cols)
        y = weight.reshape(self.outputs, self.inputs) @ x.astype(np.float64)
        return y.reshape(self.block_rows, self.rows, self.tokens) + bias[:, :, None]

    def example_inputs(self, rng: np.random.Generator) -> list[np.ndarray]:
        x, data, _, bias = super().example_inputs(rng)
        columns = self.inputs // self.cols
        chosen = [np.sort(rng.choice(columns, self.per_row, replace=False)) for _ in range(self.block_rows)]
        return [x, data, np.array(chosen, np.int32), bias]
