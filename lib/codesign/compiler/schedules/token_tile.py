"""Linear layers, vectorised over tokens: any block shape runs near the FMA peak, unstructured ones at load speed.

A tile of ``rows`` outputs by ``vectors`` token vectors stays in registers while one block-row is walked. Each stored
value is broadcast against ``vectors`` loads of the activations, so a step costs ``rows + vectors`` loads for
``rows * vectors`` FMAs; with two loads and two FMAs a cycle, tiles of at least 4 x 4 (or 8 x 2) are FMA-bound. A vector
of activations comes from the L2 cache and serves ``rows`` FMAs, which is what keeps low tiles below the peak.

The weights of an encoder do not fit the cache, so they come from memory once an inference. While the tiles of one
block-row are computed, those of the next are prefetched, a share before each tile: all at once would fill the line
buffers and stall, and inside the inner loop it would keep LLVM from holding the tile in registers.
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

#: Steps of a long block (a dense panel, 32x32) unrolled at a time: enough to hide the loop, small enough for L1I.
_UNROLL = 8
#: FMAs that are in flight at once: 4 cycles of latency, two a cycle. Fewer accumulators leave the pipes waiting.
_IN_FLIGHT = 8


class TokenTile(Family):
    """How a linear is computed with vectors of tokens.

    Decisions: ``rows`` and ``vectors`` of a tile; ``chains`` of accumulators, one for every other step where a tile is
    too small to fill the FMA pipes; ``rows_inner``, whether all rows of a block-row follow for one tile of tokens,
    whose activations are then in the L1 cache; ``slabs`` that share a walk over the weights; ``prefetch`` or not.
    """

    name: ClassVar[str] = "token_tile"
    operators: ClassVar[tuple[type, ...]] = (Linear,)
    dtypes: ClassVar[tuple[str, ...]] = DTYPES

    def space(self, operator: Linear, spec: TargetSpec) -> Space | str:
        if operator.slab % spec.lanes:
            return f"{operator.slab} token columns are not whole vectors of {spec.lanes}"
        divisors = [rows for rows in (4, 8, 6, 2, 12, 16, 1) if operator.strip % rows == 0]
        # a block height such as 7 has no divisor but 1 and itself
        divisors += [operator.strip] if max(divisors) == 1 < operator.strip else []
        return Space(
            {
                "rows": tuple(divisors),
                "vectors": (4, 2, 3, 8, 1),
                "chains": (1, 2),
                "rows_inner": (0, 1),
                "slabs": group_options(operator),
                "prefetch": (1, 0),
            }
        )

    def valid(self, operator: Linear, spec: TargetSpec, decisions: Decisions) -> bool:
        rows, vectors, chains = decisions["rows"], decisions["vectors"], decisions["chains"]
        whole = operator.slab % (vectors * spec.lanes) == 0
        small = rows * vectors < _IN_FLIGHT
        # a small tile is worth trying only where the shape allows no larger one
        busy = not small or rows == operator.strip or operator.slab < 4 * spec.lanes
        # with one tile of rows, or one of tokens, both orders are the same
        ordered = not decisions["rows_inner"] or (rows < operator.rows and vectors * spec.lanes < operator.slab)
        return whole and fits(rows * chains, vectors, spec.registers) and busy and ordered and (chains == 1 or small)

    def generate(self, operator: Linear, spec: TargetSpec, decisions: Decisions) -> tirx.PrimFunc:
        rows, vectors = decisions["rows"], decisions["vectors"]
        groups, tiles = operator.rows // rows, operator.slab // (vectors * spec.lanes)
        with primfunc(operator) as (buffers, finish):
            walk = Walk(operator, buffers, decisions["slabs"])
            with T.parallel(0, walk.threads) as thread:
                tile = Registers(rows * decisions["chains"], vectors, spec.lanes)
                with walk.block_rows(thread) as (row, first), T.serial(0, walk.group) as s:
                    extents = (tiles, groups) if decisions["rows_inner"] else (groups, tiles)
                    with T.serial(0, extents[0]) as outer, T.serial(0, extents[1]) as inner:
                        g, m = (inner, outer) if decisions["rows_inner"] else (outer, inner)
                        if decisions["prefetch"]:
                            share = (s * extents[0] + outer) * extents[1] + inner
                            walk.prefetch(row + 1, share, walk.group * groups * tiles)
                        _tile(operator, buffers, tile, rows, row, g * rows, first + s, m * vectors * spec.lanes)
        return finish()


def _tile(
    operator: Linear, buffers: list[Any], tile: Registers, rows: int, row: Any, in_block: Any, slab: Any, column: Any
) -> None:
    """Compute ``rows`` outputs of block-row ``row`` for the token vectors of ``slab`` from ``column`` on."""
    x, data, indices, indptr, _, bias, *residual, y = buffers
    chains = tile.rows // rows
    whole = operator.strips == 1
    strip, in_strip = (0, in_block) if whole else (in_block // operator.strip, in_block % operator.strip)
    parts = [range(chain * rows, (chain + 1) * rows) for chain in range(chains)]
    tile.fill(f32(0.0))

    def step(j: Any, c: Any, chain: int) -> None:
        feature, stored = operator.column(indices[indptr[row] + j], c), operator.stored(indptr, row, j, strip)

        def weight(r: int) -> Any:
            return operator.widen(data[stored, c, in_strip + r])

        tile.multiply_add(weight, lambda m: x[slab, feature, column + m], parts[chain])

    count = indptr[row + 1] - indptr[row]
    if chains == 1:
        with T.serial(0, count) as j:
            serial_unrolled(operator.cols, _UNROLL, lambda c: step(j, c, 0))
    else:
        _in_chains(count, operator.cols, chains, step)
    tile.fold(rows)

    def write(at: At) -> None:
        n, m = row * operator.rows + in_block + at.row, column + at.column
        value = operator.finish(tile[at], bias[n], residual[0][slab, n, m] if residual else None)
        T.buffer_store(y, value, [slab, n, m])

    for r in range(rows):
        with inside(operator, row * operator.rows + in_block + r):
            tile.each(write, range(r, r + 1))


def _in_chains(count: Any, cols: int, chains: int, step: Any) -> None:
    """Walk ``count`` blocks of ``cols`` steps each, dealing steps out to chains in turn."""
    if cols % chains == 0:
        with T.serial(0, count) as j, T.serial(0, cols // chains) as c:
            for chain in range(chains):
                step(j, c * chains + chain, chain)
        return
    with T.serial(0, count // chains) as pair:
        for chain in range(chains):
            with T.serial(0, cols) as c:
                step(pair * chains + chain, c, chain)
    with T.serial(0, count % chains) as rest, T.serial(0, cols) as c:
        step(count // chains * chains + rest, c, 0)
