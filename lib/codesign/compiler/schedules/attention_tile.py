"""Attention for a tile of query tokens at a time: scores, softmax and context stay in the L1 cache.

Scores are kept as [keys, queries], so that the softmax runs down the rows with whole vectors of queries.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from codesign.compiler import scalar
from codesign.compiler.operators import Attention
from codesign.compiler.operators.attention import MASKED
from codesign.compiler.operators.base import primfunc
from codesign.compiler.schedules.base import Decisions, Family, Space
from codesign.compiler.schedules.emit import At, Registers, f32, fits, serial_unrolled
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
        share = -(-units // spec.threads)
        with primfunc(operator) as (buffers, finish), T.parallel(0, spec.threads) as p:
            scores = T.alloc_buffer((operator.seq_padded, columns), "float32")
            tile = Registers(rows, vectors, spec.lanes)
            running = Registers(1, vectors, spec.lanes)
            with T.serial(0, tirx.max(tirx.min(share, units - p * share), 0)) as u:
                # heads innermost: a thread keeps its queries, as it does in the kernels before and after
                unit = p * share + u
                tile_of, head = unit // operator.heads, unit % operator.heads
                at = _Unit(operator, tile_of // tiles, head * operator.head_dim, tile_of % tiles * columns)
                _scores(operator, buffers, scores, tile, at)
                _softmax(operator, scores, running)
                _context(operator, buffers, scores, tile, running, at)
        return finish()


class _Unit:
    """Where a unit of work lies: its batch, the first feature of its head, its first query and the slab of that."""

    def __init__(self, operator: Attention, batch: Any, feature: Any, query: Any) -> None:
        self.batch, self.feature = batch, feature
        self.first_slab = batch * operator.slabs
        self.slab, self.query = self.first_slab + query // operator.slab, query % operator.slab


def _scores(operator: Attention, buffers: list[Any], scores: Any, tile: Registers, at: _Unit) -> None:
    query, key, _, bias, _ = buffers
    in_slab = operator.slab // tile.rows
    with T.serial(0, operator.slabs) as s, T.serial(0, in_slab) as keys:
        tile.fill(f32(0.0))

        def step(d: Any) -> None:
            feature = at.feature + d
            tile.multiply_add(
                lambda r: key[at.first_slab + s, feature, keys * tile.rows + r],
                lambda m: query[at.slab, feature, at.query + m],
            )

        serial_unrolled(operator.head_dim, 4, step)

        def write(cell: At) -> None:
            j = s * operator.slab + keys * tile.rows + cell.row
            value = tile[cell] * f32(operator.scale) + operator.key_bias(bias, at.batch, j)
            T.buffer_store(scores, value, [j, cell.column])

        tile.each(write)


def _softmax(operator: Attention, scores: Any, running: Registers) -> None:
    """exp(score - max) in place; ``running`` ends as the sum of each column."""
    top = Registers(1, running.vectors, running.lanes)
    top.fill(f32(MASKED))
    with T.serial(0, operator.seq_padded) as j:
        top.each(lambda cell: top.__setitem__(cell, tirx.max(top[cell], scores[j, cell.column])))
    running.fill(f32(0.0))
    with T.serial(0, operator.seq_padded) as j:

        def exponential(cell: At) -> None:
            T.buffer_store(scores, scalar.exp(scores[j, cell.column] - top[cell]), [j, cell.column])

        running.each(exponential)
        running.each(lambda cell: running.__setitem__(cell, running[cell] + scores[j, cell.column]))


def _context(
    operator: Attention, buffers: list[Any], scores: Any, tile: Registers, total: Registers, at: _Unit
) -> None:
    *_, value, _, y = buffers
    with T.serial(0, operator.head_dim // tile.rows) as features:
        tile.fill(f32(0.0))
        first = at.feature + features * tile.rows
        with T.serial(0, operator.slabs) as s:
            serial_unrolled(
                operator.slab,
                4,
                lambda j: tile.multiply_add(
                    lambda r: value[at.first_slab + s, first + r, j], lambda m: scores[s * operator.slab + j, m]
                ),
            )

        def write(cell: At, first: Any = first) -> None:
            value = tile[cell] / total[replace(cell, row=0)]
            T.buffer_store(y, value, [at.slab, first + cell.row, at.query + cell.column])

        tile.each(write)
