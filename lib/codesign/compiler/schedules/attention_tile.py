"""Attention for a tile of query tokens at a time: scores, softmax and context stay in the L1 cache.

Scores are kept as [keys, queries], so that the softmax runs down the rows with whole vectors of queries.
"""

from __future__ import annotations

from typing import Any, ClassVar

from codesign.compiler import scalar
from codesign.compiler.operators import Attention
from codesign.compiler.operators.attention import MASKED
from codesign.compiler.operators.base import primfunc
from codesign.compiler.schedules.base import Decisions, Family, Space
from codesign.compiler.schedules.emit import Registers, f32, fits, serial_unrolled
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import T, tirx


class AttentionTile(Family):
    """Decisions: ``vectors`` of queries in a tile; ``rows``, keys (and then features) in a register tile."""

    name: ClassVar[str] = "attention_tile"
    operators: ClassVar[tuple[type, ...]] = (Attention,)

    def space(self, operator: Attention, spec: TargetSpec) -> Space | str:
        if operator.seq_padded % spec.lanes:
            return f"{operator.seq_padded} columns a sequence are not whole vectors of {spec.lanes}"
        return Space({"vectors": (2, 1, 4), "rows": (8, 4, 2, 1)})

    def valid(self, operator: Attention, spec: TargetSpec, decisions: Decisions) -> bool:
        rows, vectors = decisions["rows"], decisions["vectors"]
        divides = (
            operator.seq_padded % (vectors * spec.lanes) == operator.head_dim % rows == operator.seq_padded % rows == 0
        )
        return divides and fits(rows, vectors, spec.registers)

    def generate(self, operator: Attention, spec: TargetSpec, decisions: Decisions) -> tirx.PrimFunc:
        rows, vectors = decisions["rows"], decisions["vectors"]
        columns = vectors * spec.lanes
        tiles = operator.seq_padded // columns
        units = operator.batch * operator.heads * tiles
        share = -(-units // spec.threads)
        with primfunc(operator) as (buffers, finish), T.parallel(0, spec.threads) as p:
            scores = T.alloc_buffer((operator.seq_padded, columns), "float32")
            tile = Registers(rows, vectors, spec.lanes)
            running = Registers(1, vectors, spec.lanes)
            with T.serial(0, tirx.max(tirx.min(share, units - p * share), 0)) as u:
                unit = p * share + u
                head = unit // tiles
                at = _At(head // operator.heads, head % operator.heads * operator.head_dim, unit % tiles * columns)
                _scores(operator, buffers, scores, tile, at)
                _softmax(operator, scores, running)
                _context(operator, buffers, scores, tile, running, at)
        return finish()


class _At:
    """Where a unit of work lies: its batch, the first feature of its head, its first query."""

    def __init__(self, batch: Any, feature: Any, query: Any) -> None:
        self.batch, self.feature, self.query = batch, feature, query


def _scores(operator: Attention, buffers: list[Any], scores: Any, tile: Registers, at: _At) -> None:
    query, key, _, bias, _ = buffers
    base = at.batch * operator.seq_padded
    with T.serial(0, operator.seq_padded // tile.rows) as keys:
        tile.fill(f32(0.0))

        def step(d: Any) -> None:
            feature = at.feature + d
            tile.multiply_add(
                lambda r: key[feature, base + keys * tile.rows + r], lambda m: query[feature, base + at.query + m]
            )

        serial_unrolled(operator.head_dim, 4, step)

        def write(total: Any, r: Any, m: Any) -> None:
            j = keys * tile.rows + r
            T.buffer_store(scores, total * f32(operator.scale) + operator.key_bias(bias, at.batch, j), [j, m])

        tile.store(write)


def _softmax(operator: Attention, scores: Any, running: Registers) -> None:
    """exp(score - max) in place; ``running`` ends as the sum of each column."""
    top = Registers(1, running.vectors, running.lanes)
    top.fill(f32(MASKED))
    with T.serial(0, operator.seq_padded) as j:
        top.each(lambda s, _, m, __: T.buffer_store(top.buffer, tirx.max(top.buffer[s], scores[j, m]), [s]))
    running.fill(f32(0.0))
    with T.serial(0, operator.seq_padded) as j:
        running.each(lambda s, _, m, __: T.buffer_store(scores, scalar.exp(scores[j, m] - top.buffer[s]), [j, m]))
        running.each(lambda s, _, m, __: T.buffer_store(running.buffer, running.buffer[s] + scores[j, m], [s]))


def _context(operator: Attention, buffers: list[Any], scores: Any, tile: Registers, total: Registers, at: _At) -> None:
    *_, value, _, y = buffers
    base = at.batch * operator.seq_padded
    with T.serial(0, operator.head_dim // tile.rows) as features:
        tile.fill(f32(0.0))
        first = at.feature + features * tile.rows
        serial_unrolled(
            operator.seq_padded,
            4,
            lambda j: tile.multiply_add(lambda r: value[first + r, base + j], lambda m: scores[j, m]),
        )
        tile.store(lambda v, r, m: T.buffer_store(y, v / total.buffer[m], [first + r, base + at.query + m]))
