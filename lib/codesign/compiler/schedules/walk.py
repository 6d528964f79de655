"""The walk of all families of linear layers: which thread does what, in which order, and what it fetches ahead.

The weights of an encoder do not fit the cache, so they come from memory once an inference.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from codesign.compiler.operators import Linear
from codesign.compiler.tvm_compat import T, tirx

#: Bytes of a cache line.
_LINE = 64
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
    strips, area, width = operator.strips, operator.area, int(data.shape[2])
    a_line = _LINE // np.dtype(operator.number.weights).itemsize
    row = tirx.min(row, operator.block_rows - 1)
    lines = ((indptr[row + 1] - indptr[row]) * strips * area + a_line - 1) // a_line
    part = (lines + shares - 1) // shares
    with T.serial(0, part) as line:
        element = (share * part + line) * a_line
        stored = tirx.min(indptr[row] * strips + element // area, operator.groups * strips - 1)
        here = tirx.address_of(data[stored, element % area // width, element % width])
        reading, everywhere, data_cache = (tirx.const(value, "int32") for value in (0, 3, 1))
        T.evaluate(tirx.call_intrin("void", "tirx.prefetch", here, reading, everywhere, data_cache))


def store(operator: Linear, buffers: list[Any], total: Any, place: tuple[Any, Any, Any]) -> None:
    """Finish a sum and write it to a place of the output: slab, feature, token of the slab."""
    T.buffer_store(buffers[-1], operator.finish(total, buffers, place), list(place))


@contextmanager
def inside(operator: Linear, output: Any) -> Iterator[None]:
    """Leave out outputs beyond the matrix: the last block-row may have some."""
    if operator.outputs % operator.rows == 0:
        yield
    else:
        with T.If(output < operator.outputs), T.Then():
            yield
