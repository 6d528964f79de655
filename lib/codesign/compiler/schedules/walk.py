"""The walk of all families of linear layers: which thread does what, in which order, and what it fetches ahead.

The weights of an encoder do not fit the cache, so they come from memory once an inference.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from codesign.compiler.operators import Linear
from codesign.compiler.tvm_compat import T, tirx

#: float32 in a cache line.
_LINE = 16
#: Slabs that may share a walk over the weights; more do not fit an L2 cache with the activations of 3072 features.
_GROUPS = (1, 2, 4, 8)


def group_options(operator: Linear) -> tuple[int, ...]:
    """How many slabs may share a walk: divisors of a thread's slabs."""
    mine = operator.tokens // operator.slab // operator.token_shares
    return tuple(group for group in _GROUPS if mine % group == 0)


@contextmanager
def block_rows(operator: Linear, buffers: list[Any], thread: Any, group: int) -> Iterator[tuple[Any, Any]]:
    """Loop over a thread's work: gives a block-row and the first slab of the group that it is computed for.

    Threads divide the slabs, and the block-rows by non-zeros; each walks its block-rows for a group of its slabs.
    """
    bounds, share = buffers[4], thread // operator.token_shares
    mine = operator.tokens // operator.slab // operator.token_shares
    with T.serial(0, mine // group) as part, T.serial(0, bounds[share + 1] - bounds[share]) as i:
        yield bounds[share] + i, thread % operator.token_shares * mine + part * group


def prefetch_weights(operator: Linear, buffers: list[Any], row: Any, share: Any, shares: int) -> None:
    """Prefetch one of ``shares`` parts of the weights of block-row ``row``, if there is such a row."""
    _, data, _, indptr, *_ = buffers
    strips, area = operator.strips, operator.strip * operator.cols
    row = tirx.min(row, operator.block_rows - 1)
    lines = ((indptr[row + 1] - indptr[row]) * strips * area + _LINE - 1) // _LINE
    part = (lines + shares - 1) // shares
    with T.serial(0, part) as line:
        element = (share * part + line) * _LINE
        stored = tirx.min(indptr[row] * strips + element // area, max(operator.nnz, 1) * strips - 1)
        here = tirx.address_of(data[stored, element % area // operator.strip, element % operator.strip])
        reading, everywhere, data_cache = (tirx.const(value, "int32") for value in (0, 3, 1))
        T.evaluate(tirx.call_intrin("void", "tirx.prefetch", here, reading, everywhere, data_cache))


def store(operator: Linear, buffers: list[Any], total: Any, place: tuple[Any, Any, Any]) -> None:
    """Finish a sum and write it to a place of the output: slab, feature, token of the slab."""
    bias, *residual, y = buffers[5:]
    value = operator.finish(total, bias[place[1]], residual[0][place] if residual else None)
    T.buffer_store(y, value, list(place))


@contextmanager
def inside(operator: Linear, output: Any) -> Iterator[None]:
    """Leave out outputs beyond the matrix: the last block-row may have some."""
    if operator.outputs % operator.rows == 0:
        yield
    else:
        with T.If(output < operator.outputs), T.Then():
            yield
