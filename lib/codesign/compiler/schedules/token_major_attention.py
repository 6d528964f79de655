"""Attention over token-major activations: vectors of keys for the scores, vectors of features for the context.

A thread takes one head of one sequence. It turns the keys around once, into ``[features, keys]``; then scores, softmax
and context of a tile of queries stay in the L1 cache.
"""

from __future__ import annotations

from typing import Any, ClassVar

from codesign.compiler import scalar
from codesign.compiler.operators import Attention
from codesign.compiler.operators.attention import MASKED
from codesign.compiler.operators.base import primfunc
from codesign.compiler.schedules.base import Decisions, Family, Space
from codesign.compiler.schedules.emit import At, Registers, f32, fits, largest, serial_unrolled, total
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import T, tirx


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
        rows, vectors, keys = decisions["rows"], decisions["vectors"], _keys(operator, spec)
        units = operator.batch * operator.heads
        share = -(-units // spec.threads)
        with primfunc(operator) as (buffers, finish), T.parallel(0, spec.threads) as p:
            turned = T.alloc_buffer((operator.head_dim, keys), "float32")
            scores = T.alloc_buffer((rows, keys), "float32")
            sums = T.alloc_buffer((rows,), "float32")
            tile = Registers(rows, vectors, spec.lanes)
            running = Registers(1, 1, spec.lanes)
            with T.serial(0, tirx.max(tirx.min(share, units - p * share), 0)) as u:
                unit = p * share + u
                batch, feature = unit // operator.heads, unit % operator.heads * operator.head_dim
                first = batch * operator.seq_padded
                _turn(operator, buffers[1], turned, keys, first, feature)
                with T.serial(0, -(-operator.seq // rows)) as t:
                    # the last tile begins early rather than end late: a few queries are computed twice
                    query = first + tirx.min(t * rows, operator.seq - rows)
                    _scores(operator, buffers, turned, scores, tile, batch, query, feature)
                    _softmax(scores, sums, running)
                    _context(operator, buffers, scores, sums, tile, first, query, feature)
        return finish()


def _keys(operator: Attention, spec: TargetSpec) -> int:
    """Keys of a sequence, padded to whole vectors."""
    return -(-operator.seq // spec.lanes) * spec.lanes


def _turn(operator: Attention, key: Any, turned: Any, keys: int, first: Any, feature: Any) -> None:
    with T.serial(0, keys) as j, T.serial(0, operator.head_dim) as d:
        T.buffer_store(turned, key[first + tirx.min(j, operator.seq - 1), feature + d, 0], [d, j])


def _scores(
    operator: Attention, buffers: list[Any], turned: Any, scores: Any, tile: Registers, batch: Any, query: Any, at: Any
) -> None:
    """Scores of a tile of queries with all keys; those of the padding are masked."""
    columns = tile.vectors * tile.lanes
    with T.serial(0, scores.shape[1] // columns) as k:
        tile.fill(f32(0.0))
        serial_unrolled(
            operator.head_dim,
            4,
            lambda d: tile.multiply_add(
                lambda i: buffers[0][query + i, at + d, 0], lambda j: turned[d, k * columns + j]
            ),
        )

        def write(cell: At, k: Any = k) -> None:
            j = k * columns + cell.column
            value = tile[cell] * f32(operator.scale) + _bias(operator, buffers[3], batch, j, scores.shape[1])
            T.buffer_store(scores, value, [cell.row, j])

        tile.each(write)


def _bias(operator: Attention, bias: Any, batch: Any, j: Any, keys: Any) -> Any:
    if operator.seq == int(keys):
        return bias[batch, j]
    return tirx.if_then_else(j < operator.seq, bias[batch, tirx.min(j, operator.seq - 1)], f32(MASKED))


def _softmax(scores: Any, sums: Any, running: Registers) -> None:
    """exp(score - max) in place; ``sums`` gets the sum of each row."""
    steps = int(scores.shape[1]) // running.lanes
    with T.serial(0, scores.shape[0]) as i:
        running.fill(f32(MASKED))
        with T.serial(0, steps) as k:
            running.each(
                lambda cell: running.__setitem__(
                    cell, tirx.max(running[cell], scores[i, k * running.lanes + cell.lane])
                )
            )
        T.buffer_store(sums, largest(running), [i])
        running.fill(f32(0.0))
        with T.serial(0, steps) as k:

            def exponential(cell: At, i: Any = i, k: Any = k) -> None:
                j = k * running.lanes + cell.lane
                T.buffer_store(scores, scalar.exp(scores[i, j] - sums[i]), [i, j])

            running.each(exponential)
            running.each(
                lambda cell: running.__setitem__(cell, running[cell] + scores[i, k * running.lanes + cell.lane])
            )
        T.buffer_store(sums, f32(1.0) / total(running), [i])


def _context(
    operator: Attention, buffers: list[Any], scores: Any, sums: Any, tile: Registers, first: Any, query: Any, at: Any
) -> None:
    *_, value, _, y = buffers
    columns = tile.vectors * tile.lanes
    with T.serial(0, operator.head_dim // columns) as part:
        feature = at + part * columns
        tile.fill(f32(0.0))
        serial_unrolled(
            operator.seq,
            4,
            lambda j: tile.multiply_add(lambda i: scores[i, j], lambda d: value[first + j, feature + d, 0]),
        )

        def write(cell: At, feature: Any = feature) -> None:
            T.buffer_store(y, tile[cell] * sums[cell.row], [query + cell.row, feature + cell.column, 0])

        tile.each(write)
