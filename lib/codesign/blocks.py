"""Block shapes: the one place that says what "32x1" means.

A weight is ``W[out, in]`` (as in ``torch.nn.Linear``). A block of shape ``rows x cols`` covers ``rows`` output
features and ``cols`` input features, so 32x1 is a column of 32 outputs that read the same input.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codesign.errors import InputError

#: What the field ``block`` of a record says where nothing was pruned.
DENSE = "dense"


@dataclass(frozen=True, order=True)
class BlockShape:
    """A block of ``rows`` output features by ``cols`` input features.

    Raises
    ------
    InputError
        If either side is not an integer of at least 1.
    """

    rows: int
    cols: int

    def __post_init__(self) -> None:
        if not all(type(side) is int and side >= 1 for side in (self.rows, self.cols)):
            nearest = "x".join(str(side if type(side) is int and side >= 1 else 1) for side in (self.rows, self.cols))
            raise InputError("block", str(self), "two integers of at least 1, as in '32x1'", nearest)

    @classmethod
    def parse(cls, text: str) -> BlockShape:
        """Read ``"32x1"``, the form that ``str`` prints.

        Raises
        ------
        InputError
            For anything but two positive decimal integers of at most nine digits joined by ``x``; names the nearest
            valid shape.
        """
        if re.fullmatch(r"[1-9][0-9]{0,8}x[1-9][0-9]{0,8}", text, re.ASCII):
            rows, cols = text.split("x")
            return cls(int(rows), int(cols))
        numbers = [max(1, int(digits[:9])) for digits in re.findall(r"[0-9]+", text, re.ASCII)]
        nearest = f"{numbers[0]}x{numbers[1] if len(numbers) > 1 else 1}" if numbers else "32x1"
        raise InputError("block", text, "ROWSxCOLS with integers of at least 1, as in '32x1'", nearest)

    def __str__(self) -> str:
        return f"{self.rows}x{self.cols}"

    @property
    def area(self) -> int:
        """Elements in one full block."""
        return self.rows * self.cols

    def grid(self, shape: Sequence[int]) -> tuple[int, int]:
        """Block-rows and block-columns that cover a matrix ``shape`` (out, in); edge blocks may be partial."""
        return -(-shape[0] // self.rows), -(-shape[1] // self.cols)


def touching(sparsity: float, block: str) -> float:
    """Sparsity at which a random mask of single weights leaves a share ``sparsity`` of the blocks without any."""
    return round(sparsity ** (1 / BlockShape.parse(block).area), 4)


def to_blocks(matrix: np.ndarray, block: BlockShape) -> np.ndarray:
    """Cut a matrix into blocks, padding the edge blocks with zeros.

    Parameters
    ----------
    matrix
        Any dtype, shape [out, in].
    block
        Need not divide the matrix.

    Returns
    -------
    np.ndarray
        Shape [block-rows, block-columns, rows, cols], same dtype. A view where nothing had to be padded.
    """
    block_rows, block_cols = block.grid(matrix.shape)
    pad = (block_rows * block.rows - matrix.shape[0], block_cols * block.cols - matrix.shape[1])
    padded = np.pad(matrix, ((0, pad[0]), (0, pad[1]))) if any(pad) else matrix
    return padded.reshape(block_rows, block.rows, block_cols, block.cols).swapaxes(1, 2)
