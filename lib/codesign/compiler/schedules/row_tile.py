"""Linear layers, vectorised over the rows of a block: the natural family for tall blocks, and for few tokens.

A tile of ``vectors`` of rows by ``tokens`` tokens stays in registers while one block-row is walked. Each activation is
broadcast against ``vectors`` loads of stored values, so activations cost one cache line a step however many tokens
there are, and the weights of a block-row are walked again for every tile of tokens, from the L1 cache.

What leaves the registers is token by token, and activations are stored feature by feature: a tile is turned around in
a scratch buffer on its way out.
"""

from __future__ import annotations

from typing import Any, ClassVar

from codesign.compiler.operators import Linear
from codesign.compiler.operators.base import primfunc
from codesign.compiler.operators.linear import DTYPES
from codesign.compiler.schedules.base import Decisions, Family, Space
from codesign.compiler.schedules.emit import At, Registers, f32, fits, serial_unrolled
from codesign.compiler.schedules.walk import Walk, group_options, inside
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import T, tirx

#: Steps of a long block unrolled at a time.
_UNROLL = 4


class RowTile(Family):
    """How a linear is computed with vectors of rows.

    Decisions: ``vectors`` of rows and ``tokens`` of a tile; ``slabs`` that share a walk over the weights; ``prefetch``
    or not.
    """

    name: ClassVar[str] = "row_tile"
    operators: ClassVar[tuple[type, ...]] = (Linear,)
    dtypes: ClassVar[tuple[str, ...]] = DTYPES

    def space(self, operator: Linear, spec: TargetSpec) -> Space | str:
        if operator.strips > 1:
            return f"blocks are stored in strips of {operator.strip} rows"
        if operator.rows % spec.lanes:
            return f"{operator.rows} rows of a block are not whole vectors of {spec.lanes}"
        vectors = tuple(v for v in (2, 1, 3, 4) if operator.rows % (v * spec.lanes) == 0)
        tokens = tuple(t for t in (8, 16, 4) if operator.slab % t == 0)
        if not tokens:
            return f"{operator.slab} tokens of a slab are not whole tiles of 4, 8 or 16"
        return Space({"vectors": vectors, "tokens": tokens, "slabs": group_options(operator), "prefetch": (1, 0)})

    def valid(self, operator: Linear, spec: TargetSpec, decisions: Decisions) -> bool:
        return fits(decisions["tokens"], decisions["vectors"], spec.registers)

    def generate(self, operator: Linear, spec: TargetSpec, decisions: Decisions) -> tirx.PrimFunc:
        tokens, rows = decisions["tokens"], decisions["vectors"] * spec.lanes
        groups, tiles = operator.rows // rows, operator.slab // tokens
        with primfunc(operator) as (buffers, finish):
            walk = Walk(operator, buffers, decisions["slabs"])
            with T.parallel(0, walk.threads) as thread:
                tile = Registers(tokens, decisions["vectors"], spec.lanes)
                scratch = T.alloc_buffer((tokens, rows), "float32")
                loops = T.serial(0, groups), T.serial(0, walk.group), T.serial(0, tiles)
                with walk.block_rows(thread) as (row, first), loops[0] as g, loops[1] as s, loops[2] as m:
                    if decisions["prefetch"]:
                        share = (g * walk.group + s) * tiles + m
                        walk.prefetch(row + 1, share, groups * walk.group * tiles)
                    _tile(operator, buffers, tile, scratch, row, g * rows, first + s, m * tokens)
        return finish()


def _tile(
    operator: Linear, buffers: list[Any], tile: Registers, scratch: Any, row: Any, in_block: Any, slab: Any, column: Any
) -> None:
    """Compute the rows of a tile from ``in_block`` on, for the tokens of ``slab`` from ``column`` on."""
    x, data, indices, indptr, _, bias, *residual, y = buffers
    tokens, rows = tile.rows, tile.vectors * tile.lanes
    tile.fill(f32(0.0))
    with T.serial(0, indptr[row + 1] - indptr[row]) as j:
        block = indptr[row] + j

        def step(c: Any) -> None:
            feature = operator.column(indices[block], c)

            def weights(r: Any) -> Any:
                return operator.widen(data[block, c, in_block + r])

            tile.multiply_add(lambda t: x[slab, feature, column + t], weights)

        serial_unrolled(operator.cols, _UNROLL, step)

    def put(at: At) -> None:
        T.buffer_store(scratch, tile[at], [at.row, at.column])

    tile.each(put)
    with T.serial(0, rows) as r:
        n = row * operator.rows + in_block + r
        with inside(operator, n), T.vectorized(0, tokens) as t:
            m = column + t
            value = operator.finish(scratch[t, r], bias[n], residual[0][slab, n, m] if residual else None)
            T.buffer_store(y, value, [slab, n, m])
