"""Linear layers over token-major activations, vectorised over the rows of a block: dense panels and tall blocks.

A tile of ``tokens`` by ``vectors`` of rows stays in registers while one block-row is walked. A step broadcasts one
activation of each token against ``vectors`` loads of stored values, and what leaves the registers lies side by side in
memory. The natural kernel where a block has whole vectors of rows; no other block has one in this layout.
"""

from __future__ import annotations

from typing import Any, ClassVar

from codesign.compiler.operators import Linear
from codesign.compiler.operators.base import primfunc
from codesign.compiler.operators.linear import DTYPES
from codesign.compiler.schedules.base import Decisions, Family, Space
from codesign.compiler.schedules.emit import At, Registers, f32, fits, serial_unrolled
from codesign.compiler.schedules.walk import Walk, inside
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import T, tirx

#: Steps of a long block unrolled at a time.
_UNROLL = 4
#: Fewest accumulators that keep the FMA pipes busy, and most tokens of a tile.
_IN_FLIGHT, _MOST = 8, 16


class TokenMajorLinear(Family):
    """How a linear is computed where the features of a token lie side by side.

    Decisions: ``vectors`` of rows and ``tokens`` of a tile; ``tiles_outer``, whether a tile of tokens meets all
    block-rows, so that its activations stay in the L1 cache, or a block-row all tiles, so that its weights do;
    ``prefetch`` or not.
    """

    name: ClassVar[str] = "token_major_linear"
    operators: ClassVar[tuple[type, ...]] = (Linear,)
    dtypes: ClassVar[tuple[str, ...]] = DTYPES

    def space(self, operator: Linear, spec: TargetSpec) -> Space | str:
        if operator.slab != 1:
            return f"activations lie feature-major, in slabs of {operator.slab} tokens"
        if operator.strips > 1:
            return f"blocks are stored in strips of {operator.strip} rows"
        if operator.rows % spec.lanes or operator.outputs % spec.lanes:
            rows = f"{operator.rows} rows of a block or {operator.outputs} outputs"
            return f"{rows} are not whole vectors of {spec.lanes}"
        vectors = tuple(v for v in (2, 4, 3, 1) if operator.rows % (v * spec.lanes) == 0)
        return Space(
            {
                "vectors": vectors,
                "tokens": balanced(operator.tokens // operator.token_shares),
                "tiles_outer": (0, 1),
                "prefetch": (1, 0),
            }
        )

    def valid(self, operator: Linear, spec: TargetSpec, decisions: Decisions) -> bool:
        tokens, vectors = decisions["tokens"], decisions["vectors"]
        mine = operator.tokens // operator.token_shares
        # one tile of all tokens is walked in the same order either way
        ordered = not decisions["tiles_outer"] or tokens < mine
        busy = tokens * vectors >= _IN_FLIGHT or tokens == mine
        return fits(tokens, vectors, spec.registers) and ordered and busy

    def generate(self, operator: Linear, spec: TargetSpec, decisions: Decisions) -> tirx.PrimFunc:
        tokens, rows = decisions["tokens"], decisions["vectors"] * spec.lanes
        mine = operator.tokens // operator.token_shares
        groups, tiles = operator.rows // rows, -(-mine // tokens)
        parts = tiles if decisions["tiles_outer"] else 1
        with primfunc(operator) as (buffers, finish):
            walk, bounds = Walk(operator, buffers, mine), buffers[4]
            with T.parallel(0, walk.threads) as thread:
                share, first = thread // operator.token_shares, thread % operator.token_shares * mine
                tile = Registers(tokens, decisions["vectors"], spec.lanes)
                with (
                    T.serial(0, parts) as part,
                    T.serial(0, bounds[share + 1] - bounds[share]) as i,
                    T.serial(0, tiles // parts) as t,
                    T.serial(0, groups) as g,
                ):
                    row = bounds[share] + i
                    if decisions["prefetch"]:
                        walk.prefetch(row + 1, t * groups + g, tiles // parts * groups)
                    # the last tile begins early rather than end late: a few tokens are computed twice
                    token = first + tirx.min((part + t) * tokens, mine - tokens)
                    _tile(operator, buffers, tile, row, g * rows, token)
        return finish()


def balanced(count: int) -> tuple[int, ...]:
    """Sizes that divide ``count`` tokens into about equal tiles, the middling first: 8 before larger and smaller."""
    sizes = {-(-count // tiles) for tiles in range(1, count + 1)}
    return tuple(sorted((size for size in sizes if size <= _MOST), key=lambda size: (abs(size - 8), size)))


def _tile(operator: Linear, buffers: list[Any], tile: Registers, row: Any, in_block: Any, token: Any) -> None:
    """Compute the rows of block-row ``row`` from ``in_block`` on, for the tokens of a tile from ``token`` on."""
    x, data, indices, indptr, _, bias, *residual, y = buffers
    tile.fill(f32(0.0))
    with T.serial(0, indptr[row + 1] - indptr[row]) as j:
        block = indptr[row] + j

        def step(c: Any) -> None:
            feature = operator.column(indices[block], c)

            def weights(r: Any) -> Any:
                return operator.widen(data[block, c, in_block + r])

            tile.multiply_add(lambda t: x[token + t, feature, 0], weights)

        serial_unrolled(operator.cols, _UNROLL, step)

    def write(at: At) -> None:
        n = row * operator.rows + in_block + at.column
        value = operator.finish(tile[at], bias[n], residual[0][token + at.row, n, 0] if residual else None)
        T.buffer_store(y, value, [token + at.row, n, 0])

    for vector in range(tile.vectors):
        with inside(operator, row * operator.rows + in_block + vector * tile.lanes):
            tile.each(write, vectors=range(vector, vector + 1))
