"""Linear layers, vectorised over tokens: any block shape runs near the FMA peak, unstructured ones at load speed.

A tile of ``rows`` outputs by ``vectors`` token vectors stays in registers while one block-row is walked. Each stored
value is broadcast against ``vectors`` loads of the activations, so a step costs ``rows + vectors`` loads for
``rows * vectors`` FMAs; with two loads and two FMAs a cycle, tiles of at least 4 x 4 (or 8 x 2) are FMA-bound.

The weights of an encoder do not fit the cache, so they come from memory once an inference. While the tiles of one
block-row are computed, those of the next are prefetched, a share before each tile: all at once would fill the line
buffers and stall, and inside the inner loop it would keep LLVM from holding the tile in registers.
"""

from __future__ import annotations

from typing import Any, ClassVar

from codesign.compiler.operators import Linear
from codesign.compiler.operators.base import primfunc
from codesign.compiler.schedules.base import Decisions, Family, Space
from codesign.compiler.schedules.emit import LINE, Registers, f32, fits, prefetch, serial_unrolled
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import T, tirx

#: Steps of a long block (a dense panel, 32x32) unrolled at a time: enough to hide the loop, small enough for L1I.
_UNROLL = 8


class TokenTile(Family):
    """Decisions: ``rows`` and ``vectors`` of a tile; ``tokens_outer``, which loop is outside; ``prefetch`` or not."""

    name: ClassVar[str] = "token_tile"
    operators: ClassVar[tuple[type, ...]] = (Linear,)

    def space(self, operator: Linear, spec: TargetSpec) -> Space | str:
        if operator.tokens % spec.lanes:
            return f"{operator.tokens} token columns are not whole vectors of {spec.lanes}"
        divisors = [rows for rows in (4, 8, 6, 2, 12, 16, 1) if operator.rows % rows == 0]
        # a block height such as 7 has no divisor but 1 and itself
        divisors += [operator.rows] if max(divisors) == 1 < operator.rows else []
        return Space({"rows": tuple(divisors), "vectors": (4, 2, 8, 1), "tokens_outer": (0, 1), "prefetch": (1, 0)})

    def valid(self, operator: Linear, spec: TargetSpec, decisions: Decisions) -> bool:
        rows, vectors = decisions["rows"], decisions["vectors"]
        whole = operator.tokens % (vectors * spec.lanes) == 0
        # fewer than 8 accumulators leave the FMA pipes (4 cycles, 2 a cycle) waiting, unless the shape allows no more
        busy = rows * vectors >= 8 or rows == operator.rows or operator.tokens < 4 * spec.lanes
        # with tokens outside, the next block-row is needed at once
        ordered = not (decisions["tokens_outer"] and decisions["prefetch"])
        return whole and fits(rows, vectors, spec.registers) and busy and ordered

    def generate(self, operator: Linear, spec: TargetSpec, decisions: Decisions) -> tirx.PrimFunc:
        rows, vectors = decisions["rows"], decisions["vectors"]
        columns = vectors * spec.lanes
        with primfunc(operator) as (buffers, finish):
            bounds = buffers[4]
            with T.parallel(0, operator.shares) as share:
                tile = Registers(rows, vectors, spec.lanes)
                first, count = bounds[share], bounds[share + 1] - bounds[share]
                groups, tiles = operator.rows // rows, operator.tokens // columns
                if decisions["tokens_outer"]:
                    with T.serial(0, tiles) as m, T.serial(0, count) as i, T.serial(0, groups) as g:
                        _tile(operator, buffers, tile, first + i, g * rows, m * columns)
                else:
                    with T.serial(0, count) as i, T.serial(0, groups) as g, T.serial(0, tiles) as m:
                        if decisions["prefetch"]:
                            _prefetch_share(operator, buffers, first + i + 1, g * tiles + m, groups * tiles)
                        _tile(operator, buffers, tile, first + i, g * rows, m * columns)
        return finish()


def _prefetch_share(operator: Linear, buffers: list[Any], row: Any, share: Any, shares: int) -> None:
    """Prefetch one of ``shares`` parts of the weights of block-row ``row``, if there is such a row."""
    _, data, _, indptr, *_ = buffers
    area = operator.rows * operator.cols
    row = tirx.min(row, operator.block_rows - 1)
    lines = ((indptr[row + 1] - indptr[row]) * area + LINE - 1) // LINE
    part = (lines + shares - 1) // shares
    with T.serial(0, part) as line:
        element = (share * part + line) * LINE
        block = tirx.min(indptr[row] + element // area, max(operator.nnz, 1) - 1)
        prefetch(data[block, element % area // operator.rows, element % operator.rows])


def _tile(operator: Linear, buffers: list[Any], tile: Registers, row: Any, in_block: Any, column: Any) -> None:
    """Compute ``tile.rows`` outputs of block-row ``row`` for the token vectors from ``column`` on."""
    x, data, indices, indptr, _, bias, *residual, y = buffers
    tile.fill(f32(0.0))
    with T.serial(0, indptr[row + 1] - indptr[row]) as j:
        block = indptr[row] + j

        def step(c: Any) -> None:
            feature = operator.column(indices[block], c)
            tile.multiply_add(lambda r: data[block, c, in_block + r], lambda m: x[feature, column + m])

        serial_unrolled(operator.cols, _UNROLL, step)

    def write(total: Any, r: Any, m: Any) -> None:
        n = row * operator.rows + in_block + r
        value = operator.finish(total, bias[n], residual[0][n, column + m] if residual else None)
        T.buffer_store(y, value, [n, column + m])

    if operator.outputs % operator.rows == 0:
        tile.store(write)
    else:  # the last block-row reaches beyond the matrix
        with T.unroll(0, tile.rows) as r, T.If(row * operator.rows + in_block + r < operator.outputs), T.Then():
            for t in range(tile.vectors):
                with T.vectorized(0, tile.lanes) as v:
                    slot = (r * tile.vectors + t) * tile.lanes + v
                    write(tile.buffer[slot], r, t * tile.lanes + v)
