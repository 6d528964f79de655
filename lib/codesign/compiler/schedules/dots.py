"""Register tiles of number formats of which a lane takes several inputs at once.

Weights are stored narrow, and widened once a block-row, into the L1 cache, for all of its tokens. Activations of as
many features are interleaved on their way in: the instructions that do so work on 128 bits at a time, and so leave
tokens out of order, which is put right when a tile is done.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from codesign.compiler.instructions import shuffled
from codesign.compiler.operators import Linear
from codesign.compiler.schedules.emit import Registers
from codesign.compiler.tvm_compat import T

#: Lanes of 128 bits.
_PART = 4


class Dots:
    """The steps of a linear over ``tile``, whose rows are outputs and whose vectors are tokens.

    Parameters
    ----------
    operator, buffers
        The linear, in a format with a `Dot`, and its arguments.
    tile
        Its sums.
    """

    def __init__(self, operator: Linear, buffers: list[Any], tile: Registers) -> None:
        number = operator.number
        assert number.dot is not None
        self.operator, self.buffers, self.tile, self.dot = operator, buffers, tile, number.dot
        self.depth, self.operands = number.depth, number.activations
        self.wide = number.depth * tile.lanes
        columns = -(-operator.inputs // operator.cols)
        most = -(-columns // operator.joined) * operator.strips * operator.area
        self.weights = T.alloc_buffer((most + self.wide,), number.dot.operands)
        self.words = [T.alloc_buffer((self.wide,), self.operands) for _ in range(tile.vectors)]
        lanes = np.arange(tile.lanes)
        #: Token of each lane of the vectors that are interleaved together.
        self.tokens = [lanes // _PART * _PART * self.depth + v * _PART + lanes % _PART for v in range(self.depth)]

    def widen(self, row: Any) -> None:
        """Widen the weights of block-row ``row``."""
        _, data, _, indptr, *_ = self.buffers
        first = indptr[row] * self.operator.strips
        count = (indptr[row + 1] - indptr[row]) * self.operator.strips * self.operator.area
        with T.serial(0, (count + self.wide - 1) // self.wide) as i:
            here = T.ramp(i * self.wide, 1, self.wide)  # beyond the last axis: what follows in memory
            T.buffer_store(self.weights, T.cast(data[first, 0, here], f"{self.dot.operands}x{self.wide}"), [here])

    def step(self, row: Any, j: Any, word: Any, strip: Any, in_strip: Any, x: tuple[Any, Any], rows: range) -> None:
        """Add the products of word ``word`` of the ``j``-th group of a block-row to ``rows`` of the tile.

        ``x`` is a slab and the first token of it; ``strip`` and ``in_strip`` say where the first row of the tile is.
        """
        operator, lanes = self.operator, self.tile.lanes
        activations, _, indices, indptr, *_ = self.buffers
        group, (slab, column) = indptr[row] + j, x
        features = [operator.column(indices, group, word * self.depth + d) for d in range(self.depth)]
        for first in range(0, self.tile.vectors, self.depth):
            tokens = T.ramp(column + first * lanes, 1, self.wide)
            loaded = [activations[slab, feature, tokens] for feature in features]
            for v, order in enumerate(self.tokens):
                mixed = [d * self.wide + int(token) for token in order for d in range(self.depth)]
                T.buffer_store(self.words[first + v], shuffled(loaded, mixed), [T.ramp(0, 1, self.wide)])
        stored = j if operator.strips == 1 else strip * (indptr[row + 1] - indptr[row]) + j
        for r, at in enumerate(rows):
            here = stored * operator.area + (word * operator.strip + in_strip + r) * self.depth
            weight = T.reinterpret("int32", self.weights[T.ramp(here, 1, self.depth)])
            weight = T.reinterpret(f"{self.operands}x{self.wide}", T.broadcast(weight, lanes))
            for v, words in enumerate(self.words):
                product = self.dot.emit(weight, words[T.ramp(0, 1, self.wide)], lanes)
                self.tile.put(at, v, self.tile.whole(at, v) + product)

    def in_order(self, rows: int) -> None:
        """Put the tokens of the first ``rows`` of the tile in order."""
        place = np.argsort(np.concatenate(self.tokens)).reshape(self.depth, -1)
        for row in range(rows):
            for first in range(0, self.tile.vectors, self.depth):
                mixed = [self.tile.whole(row, first + v) for v in range(self.depth)]
                sorted_ = [T.bind(shuffled(mixed, lanes.tolist())) for lanes in place]
                for v, value in enumerate(sorted_):
                    self.tile.put(row, first + v, value)
