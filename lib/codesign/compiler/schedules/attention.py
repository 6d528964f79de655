"""Attention for a tile of queries at a time: scores, softmax and context stay in the L1 cache.

`AttentionTile` keeps scores as [keys, queries], so that the softmax runs down the rows with whole vectors of queries.
`TokenMajorAttention` has vectors of keys for the scores, of features for the context; a thread takes one head of one
sequence and turns its keys around once, into ``[features, keys]``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from codesign.compiler import scalar
from codesign.compiler.operators import Attention
from codesign.compiler.operators.attention import MASKED
from codesign.compiler.operators.base import primfunc
from codesign.compiler.scalar import f32
from codesign.compiler.schedules.base import Decisions, Family, Space
from codesign.compiler.schedules.emit import At, Registers, fits, largest, total, units_of
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import T, tirx


class AttentionTile(Family):
    """Decisions: ``vectors`` of queries in a tile; ``rows``, keys (and then features) in a register tile."""

    name: ClassVar[str] = "attention_tile"
    operators: ClassVar[tuple[type, ...]] = (Attention,)

    def space(self, operator: Attention, spec: TargetSpec) -> Space | str:
        if operator.slab % spec.lanes:
            return f"{operator.slab} token columns are not whole vectors of {spec.lanes}"
        return Space({"vectors": (2, 1, 4, 3), "rows": (8, 4, 6, 2, 12, 1)})

    def valid(self, operator: Attention, spec: TargetSpec, decisions: Decisions) -> bool:
        rows, vectors = decisions["rows"], decisions["vectors"]
        divides = operator.slab % (vectors * spec.lanes) == operator.head_dim % rows == operator.slab % rows == 0
        return divides and fits(rows, vectors, spec.registers)

    def generate(self, operator: Attention, spec: TargetSpec, decisions: Decisions) -> tirx.PrimFunc:
        rows, vectors = decisions["rows"], decisions["vectors"]
        columns = vectors * spec.lanes
        tiles = operator.seq_padded // columns
        units = operator.batch * operator.heads * tiles
        with primfunc(operator) as ((query, key, value, bias, y), finish), T.parallel(0, spec.threads) as p:
            scores = T.alloc_buffer((operator.seq_padded, columns), "float32")
            tile = Registers(rows, vectors, spec.lanes)
            sums = Registers(1, vectors, spec.lanes)
            with units_of(p, units, spec.threads) as unit:
                # heads innermost: a thread keeps its queries, as it does in the kernels before and after
                tile_of, head = unit // operator.heads, unit % operator.heads
                batch, first_query = tile_of // tiles, tile_of % tiles * columns
                feature, first_slab = head * operator.head_dim, batch * operator.slabs
                slab, column = first_slab + first_query // operator.slab, first_query % operator.slab

                with T.serial(0, operator.slabs) as s, T.serial(0, operator.slab // rows) as keys:
                    tile.fill(f32(0.0))
                    tile.accumulate(
                        operator.head_dim,
                        lambda d, r: key[first_slab + s, feature + d, keys * rows + r],
                        lambda d, m: query[slab, feature + d, column + m],
                    )

                    def write_scores(cell: At) -> None:
                        j = s * operator.slab + keys * rows + cell.row
                        score = tile[cell] * f32(operator.scale) + operator.key_bias(bias, batch, j)
                        T.buffer_store(scores, score, [j, cell.column])

                    tile.each(write_scores)
                _softmax_down(operator, scores, sums)
                with T.serial(0, operator.head_dim // rows) as features:
                    tile.fill(f32(0.0))
                    first = feature + features * rows
                    with T.serial(0, operator.slabs) as s:
                        tile.accumulate(
                            operator.slab,
                            lambda j, r: value[first_slab + s, first + r, j],
                            lambda j, m: scores[s * operator.slab + j, m],
                        )

                    def write(cell: At) -> None:
                        context = tile[cell] / sums[replace(cell, row=0)]
                        T.buffer_store(y, context, [slab, first + cell.row, column + cell.column])

                    tile.each(write)
        return finish()


def _softmax_down(operator: Attention, scores: Any, running: Registers) -> None:
    """exp(score - max) in place; ``running`` ends as the sum of each column."""
    top = Registers(1, running.vectors, running.lanes)
    top.fill(f32(MASKED))
    with T.serial(0, operator.seq_padded) as j:
        top.update(lambda value, cell: tirx.max(value, scores[j, cell.column]))
    running.fill(f32(0.0))
    with T.serial(0, operator.seq_padded) as j:

        def exponential(cell: At) -> None:
            T.buffer_store(scores, scalar.exp(scores[j, cell.column] - top[cell]), [j, cell.column])

        running.each(exponential)
        running.update(lambda value, cell: value + scores[j, cell.column])


class TokenMajorAttention(Family):
    """Decisions: ``rows`` of queries in a tile; ``vectors`` of keys, and then of features, in a register tile."""

    name: ClassVar[str] = "token_major_attention"
    operators: ClassVar[tuple[type, ...]] = (Attention,)

    def space(self, operator: Attention, spec: TargetSpec) -> Space | str:
        if operator.slab != 1:
            return f"activations lie feature-major, in slabs of {operator.slab} tokens"
        if operator.head_dim % spec.lanes:
            return f"{operator.head_dim} features of a head are not whole vectors of {spec.lanes}"
        return Space({"rows": (8, 6, 4, 12, 2, 1), "vectors": (2, 4, 1)})

    def valid(self, operator: Attention, spec: TargetSpec, decisions: Decisions) -> bool:
        rows, vectors = decisions["rows"], decisions["vectors"]
        whole = operator.head_dim % (vectors * spec.lanes) == _keys(operator, spec) % (vectors * spec.lanes) == 0
        return whole and rows <= operator.seq and fits(rows, vectors, spec.registers)

    def generate(self, operator: Attention, spec: TargetSpec, decisions: Decisions) -> tirx.PrimFunc:
        rows, keys, columns = decisions["rows"], _keys(operator, spec), decisions["vectors"] * spec.lanes
        with primfunc(operator) as ((query, key, value, bias, y), finish), T.parallel(0, spec.threads) as p:
            turned = T.alloc_buffer((operator.head_dim, keys), "float32")
            scores = T.alloc_buffer((rows, keys), "float32")
            sums = T.alloc_buffer((rows,), "float32")
            tile = Registers(rows, decisions["vectors"], spec.lanes)
            running = Registers(1, 1, spec.lanes)
            with units_of(p, operator.batch * operator.heads, spec.threads) as unit:
                batch, feature = unit // operator.heads, unit % operator.heads * operator.head_dim
                first = batch * operator.seq_padded
                with T.serial(0, keys) as j, T.serial(0, operator.head_dim) as d:
                    T.buffer_store(turned, key[first + tirx.min(j, operator.seq - 1), feature + d, 0], [d, j])
                with T.serial(0, -(-operator.seq // rows)) as t:
                    # the last tile begins early rather than end late: a few queries are computed twice
                    token = first + tirx.min(t * rows, operator.seq - rows)
                    with T.serial(0, keys // columns) as k:
                        tile.fill(f32(0.0))
                        tile.accumulate(
                            operator.head_dim,
                            lambda d, i: query[token + i, feature + d, 0],
                            lambda d, j: turned[d, k * columns + j],
                        )

                        def write_scores(cell: At) -> None:  # those of the padding are masked
                            j = k * columns + cell.column
                            score = tile[cell] * f32(operator.scale) + operator.key_bias(bias, batch, j, keys)
                            T.buffer_store(scores, score, [cell.row, j])

                        tile.each(write_scores)
                    _softmax_along(scores, sums, running)
                    with T.serial(0, operator.head_dim // columns) as part:
                        at = feature + part * columns
                        tile.fill(f32(0.0))
                        tile.accumulate(
                            operator.seq, lambda j, i: scores[i, j], lambda j, d: value[first + j, at + d, 0]
                        )

                        def write(cell: At) -> None:
                            T.buffer_store(y, tile[cell] * sums[cell.row], [token + cell.row, at + cell.column, 0])

                        tile.each(write)
        return finish()


def _keys(operator: Attention, spec: TargetSpec) -> int:
    """Keys of a sequence, padded to whole vectors."""
    return -(-operator.seq // spec.lanes) * spec.lanes


def _softmax_along(scores: Any, sums: Any, running: Registers) -> None:
    """exp(score - max) in place; ``sums`` gets the inverse of the sum of each row."""
    lanes = running.lanes
    steps = int(scores.shape[1]) // lanes
    with T.serial(0, scores.shape[0]) as i:
        running.fill(f32(MASKED))
        with T.serial(0, steps) as k:
            running.update(lambda value, cell: tirx.max(value, scores[i, k * lanes + cell.lane]))
        T.buffer_store(sums, largest(running), [i])
        running.fill(f32(0.0))
        with T.serial(0, steps) as k:

            def exponential(cell: At) -> None:
                j = k * lanes + cell.lane
                T.buffer_store(scores, scalar.exp(scores[i, j] - sums[i]), [i, j])

            running.each(exponential)
            running.update(lambda value, cell: value + scores[i, k * lanes + cell.lane])
        T.buffer_store(sums, f32(1.0) / total(running), [i])
