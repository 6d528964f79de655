"""Linear layers: three ways to fill one tile of registers while a block-row is walked.

`TokenTile` has vectors of tokens, and takes any block. A step broadcasts ``rows`` stored values against ``vectors``
loads of activations, for ``rows * vectors`` FMAs; with two loads and two FMAs a cycle, tiles of at least 4 x 4 (or
8 x 2) are FMA-bound. A vector of activations comes from the L2 cache and serves ``rows`` FMAs: lower tiles stay below
the peak.

`RowTile` has vectors of rows: natural for tall blocks, and for few tokens. Activations are broadcast against loads of
stored values, so they cost one cache line a step however many tokens there are; the weights of a block-row are walked
again for every tile of tokens, from the L1 cache. Activations are stored feature by feature, so a tile is turned around
in a scratch buffer on its way out. `TokenMajorLinear` does the same where the features of a token lie side by side.

Before each tile a share of the next block-row's weights is prefetched. All at once would fill the line buffers and
stall, and inside the inner loop it would keep LLVM from holding the tile in registers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from codesign.compiler.operators import Linear
from codesign.compiler.operators.base import primfunc
from codesign.compiler.scalar import f32
from codesign.compiler.schedules.base import Decisions, Family, Space
from codesign.compiler.schedules.dots import Dots
from codesign.compiler.schedules.emit import At, Registers, fits, serial_unrolled
from codesign.compiler.schedules.walk import block_rows, group_options, inside, prefetch_weights, store
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import T, tirx

#: Steps of a long block (a dense panel, 32x32) unrolled at a time: enough to hide the loop, small enough for L1I.
_UNROLL = 8
#: FMAs that are in flight at once: 4 cycles of latency, two a cycle. Fewer accumulators leave the pipes waiting.
_IN_FLIGHT = 8
#: Most tokens of a token-major tile.
_MOST_TOKENS = 16


class _LinearFamily(Family):
    operators: ClassVar[tuple[type, ...]] = (Linear,)


class TokenTile(_LinearFamily):
    """How a linear is computed with vectors of tokens.

    Decisions: ``rows`` and ``vectors`` of a tile; ``chains`` of accumulators, one for every other step where a tile is
    too small to fill the FMA pipes; ``rows_inner``, whether all rows of a block-row follow for one tile of tokens,
    whose activations are then in the L1 cache; ``slabs`` that share a walk over the weights; ``prefetch`` or not.
    """

    name: ClassVar[str] = "token_tile"

    def space(self, operator: Linear, spec: TargetSpec) -> Space | str:
        if operator.slab % (spec.lanes * operator.number.depth):
            return f"{operator.slab} token columns are not whole vectors of {spec.lanes * operator.number.depth}"
        divisors = [rows for rows in (4, 8, 6, 2, 12, 16, 1) if operator.strip % rows == 0]
        # a block height such as 7 has no divisor but 1 and itself
        divisors += [operator.strip] if max(divisors) == 1 < operator.strip else []
        tile = {"rows": tuple(divisors), "vectors": (4, 2, 3, 8, 1), "chains": (1, 2)}
        return Space({**tile, "rows_inner": (0, 1), "slabs": group_options(operator), "prefetch": (1, 0)})

    def valid(self, operator: Linear, spec: TargetSpec, decisions: Decisions) -> bool:
        rows, vectors, chains = decisions["rows"], decisions["vectors"], decisions["chains"]
        whole = operator.slab % (vectors * spec.lanes) == 0
        small = rows * vectors < _IN_FLIGHT
        # a small tile is worth trying only where the shape allows no larger one
        busy = not small or rows == operator.strip or operator.slab < 4 * spec.lanes
        # with one tile of rows, or one of tokens, both orders are the same
        ordered = not decisions["rows_inner"] or (rows < operator.rows and vectors * spec.lanes < operator.slab)
        number = operator.number
        if number.dot is not None:  # products take a register on their way to a sum, which waits for one cycle alone
            whole = whole and vectors % number.depth == 0
            return whole and fits(rows, vectors, spec.registers - 1) and ordered and chains == 1
        return whole and fits(rows * chains, vectors, spec.registers) and busy and ordered and (chains == 1 or small)

    def generate(self, operator: Linear, spec: TargetSpec, decisions: Decisions) -> tirx.PrimFunc:
        rows, vectors, group = decisions["rows"], decisions["vectors"], decisions["slabs"]
        groups, tiles = operator.rows // rows, operator.slab // (vectors * spec.lanes)
        extents = (tiles, groups) if decisions["rows_inner"] else (groups, tiles)
        with primfunc(operator) as (buffers, finish), T.parallel(0, operator.threads) as thread:
            tile = Registers(rows * decisions["chains"], vectors, spec.lanes, operator.number.sums)
            dots = None if operator.number.dot is None else Dots(operator, buffers, tile)
            loops = T.serial(0, group), T.serial(0, extents[0]), T.serial(0, extents[1])
            with block_rows(operator, buffers, thread, group) as (row, first):
                if dots:
                    dots.widen(row)
                with loops[0] as s, loops[1] as outer, loops[2] as inner:
                    g, m = (inner, outer) if decisions["rows_inner"] else (outer, inner)
                    if decisions["prefetch"]:
                        share = (s * extents[0] + outer) * extents[1] + inner
                        prefetch_weights(operator, buffers, row + 1, share, group * groups * tiles)
                    place = row, g * rows, first + s, m * vectors * spec.lanes
                    _tile_of_tokens(operator, buffers, tile, dots, rows, *place)
        return finish()


class RowTile(_LinearFamily):
    """How a linear is computed with vectors of rows.

    Decisions: ``vectors`` of rows and ``tokens`` of a tile; ``slabs`` that share a walk over the weights; ``prefetch``
    or not.
    """

    name: ClassVar[str] = "row_tile"

    def space(self, operator: Linear, spec: TargetSpec) -> Space | str:
        if operator.strips > 1:
            return f"blocks are stored in strips of {operator.strip} rows"
        if operator.number.dot is not None:
            return _one_input(operator)
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
        tokens, rows, group = decisions["tokens"], decisions["vectors"] * spec.lanes, decisions["slabs"]
        groups, tiles = operator.rows // rows, operator.slab // tokens
        with primfunc(operator) as (buffers, finish), T.parallel(0, operator.threads) as thread:
            tile = Registers(tokens, decisions["vectors"], spec.lanes)
            scratch = T.alloc_buffer((tokens, rows), "float32")
            loops = T.serial(0, groups), T.serial(0, group), T.serial(0, tiles)
            walk = block_rows(operator, buffers, thread, group)
            with walk as (row, first), loops[0] as g, loops[1] as s, loops[2] as m:
                if decisions["prefetch"]:
                    share = (g * group + s) * tiles + m
                    prefetch_weights(operator, buffers, row + 1, share, groups * group * tiles)
                slab, column, in_block = first + s, m * tokens, g * rows
                _sum_rows(operator, buffers, tile, row, in_block, lambda t, f: buffers[0][slab, f, column + t])
                tile.each(lambda at: T.buffer_store(scratch, tile[at], [at.row, at.column]))
                with T.serial(0, rows) as r:
                    n = row * operator.rows + in_block + r
                    with inside(operator, n), T.vectorized(0, tokens) as t:
                        store(operator, buffers, scratch[t, r], (slab, n, column + t))
        return finish()


class TokenMajorLinear(_LinearFamily):
    """How a linear is computed where the features of a token lie side by side.

    Decisions: ``vectors`` of rows and ``tokens`` of a tile; ``tiles_outer``, whether a tile of tokens meets all
    block-rows, so that its activations stay in the L1 cache, or a block-row all tiles, so that its weights do;
    ``prefetch`` or not.
    """

    name: ClassVar[str] = "token_major_linear"

    def space(self, operator: Linear, spec: TargetSpec) -> Space | str:
        if operator.slab != 1:
            return f"activations lie feature-major, in slabs of {operator.slab} tokens"
        if operator.strips > 1:
            return f"blocks are stored in strips of {operator.strip} rows"
        if operator.number.dot is not None:
            return _one_input(operator)
        if operator.rows % spec.lanes or operator.outputs % spec.lanes:
            rows = f"{operator.rows} rows of a block or {operator.outputs} outputs"
            return f"{rows} are not whole vectors of {spec.lanes}"
        vectors = tuple(v for v in (2, 4, 3, 1) if operator.rows % (v * spec.lanes) == 0)
        tokens = balanced(operator.tokens // operator.token_shares)
        return Space({"vectors": vectors, "tokens": tokens, "tiles_outer": (0, 1), "prefetch": (1, 0)})

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
        with primfunc(operator) as (buffers, finish), T.parallel(0, operator.threads) as thread:
            share, first = thread // operator.token_shares, thread % operator.token_shares * mine
            tile, bounds = Registers(tokens, decisions["vectors"], spec.lanes), buffers[4]
            with (
                T.serial(0, parts) as part,
                T.serial(0, bounds[share + 1] - bounds[share]) as i,
                T.serial(0, tiles // parts) as t,
                T.serial(0, groups) as g,
            ):
                row, in_block = bounds[share] + i, g * rows
                if decisions["prefetch"]:
                    prefetch_weights(operator, buffers, row + 1, t * groups + g, tiles // parts * groups)
                # the last tile begins early rather than end late: a few tokens are computed twice
                token = first + tirx.min((part + t) * tokens, mine - tokens)
                _sum_rows(operator, buffers, tile, row, in_block, lambda t, f: buffers[0][token + t, f, 0])

                def write(at: At, token: Any = token, output: Any = row * operator.rows + in_block) -> None:
                    store(operator, buffers, tile[at], (token + at.row, output + at.column, 0))

                for vector in range(tile.vectors):
                    with inside(operator, row * operator.rows + in_block + vector * tile.lanes):
                        tile.each(write, vectors=range(vector, vector + 1))
        return finish()


def balanced(count: int) -> tuple[int, ...]:
    """Sizes that divide ``count`` tokens into about equal tiles, the middling first: 8 before larger and smaller."""
    sizes = {-(-count // tiles) for tiles in range(1, count + 1)}
    return tuple(sorted((size for size in sizes if size <= _MOST_TOKENS), key=lambda size: (abs(size - 8), size)))


def _one_input(operator: Linear) -> str:
    return f"its lanes take one input at once, and those of {operator.format} {operator.number.depth}"


def _tile_of_tokens(
    operator: Linear,
    buffers: list[Any],
    tile: Registers,
    dots: Dots | None,
    rows: int,
    row: Any,
    in_block: Any,
    slab: Any,
    column: Any,
) -> None:
    """Compute ``rows`` outputs of block-row ``row`` for the token vectors of ``slab`` from ``column`` on."""
    x, data, indices, indptr, *_ = buffers
    chains, cols = tile.rows // rows, operator.words
    whole = operator.strips == 1
    strip, in_strip = (0, in_block) if whole else (in_block // operator.strip, in_block % operator.strip)
    tile.fill(tirx.const(0, operator.number.sums))

    def step(j: Any, c: Any, chain: int) -> None:
        if dots:
            dots.step(row, j, c, strip, in_strip, (slab, column), range(rows))
            return
        feature, stored = operator.column(indices, indptr[row] + j, c), operator.stored(indptr, row, j, strip)
        tile.multiply_add(
            lambda r: data[stored, c, in_strip + r],
            lambda m: x[slab, feature, column + m],
            range(chain * rows, (chain + 1) * rows),
        )

    count = indptr[row + 1] - indptr[row]
    if chains == 1:
        with T.serial(0, count) as j:
            serial_unrolled(cols, _UNROLL, lambda c: step(j, c, 0))
    elif cols % chains == 0:
        with T.serial(0, count) as j, T.serial(0, cols // chains) as c:
            for chain in range(chains):
                step(j, c * chains + chain, chain)
    else:  # whole blocks are dealt out in turn
        with T.serial(0, count // chains) as pair:
            for chain in range(chains):
                with T.serial(0, cols) as c:
                    step(pair * chains + chain, c, chain)
        with T.serial(0, count % chains) as rest, T.serial(0, cols) as c:
            step(count // chains * chains + rest, c, 0)
    tile.fold(rows)
    if dots:
        dots.in_order(rows)
    first = row * operator.rows + in_block

    def write(at: At) -> None:
        store(operator, buffers, tile[at], (slab, first + at.row, column + at.column))

    for r in range(rows):
        with inside(operator, first + r):
            tile.each(write, range(r, r + 1))


def _sum_rows(
    operator: Linear, buffers: list[Any], tile: Registers, row: Any, in_block: Any, x: Callable[[Any, Any], Any]
) -> None:
    """Fill a tile of tokens by vectors of rows from ``in_block`` on; ``x`` is an activation by token and feature."""
    _, data, indices, indptr, *_ = buffers
    tile.fill(f32(0.0))
    with T.serial(0, indptr[row + 1] - indptr[row]) as j:
        block = indptr[row] + j
        tile.accumulate(
            operator.cols,
            lambda c, t: x(t, operator.column(indices, block, c)),
            lambda c, r: data[block, c, in_block + r],
        )
