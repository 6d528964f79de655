"""How tokens are laid out and divided: in slabs, a whole number of them to each thread where that is possible.

A thread that keeps its tokens through the whole encoder finds their activations in its own L2 cache, where the kernel
before left them. Dividing the rows of a weight instead makes every thread read what the others have just written.
Within a slab the features of all its tokens lie side by side, so that walking the features touches whole cache lines
of consecutive memory, whatever the batch: no power-of-two strides that fall into the same cache sets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from codesign.compiler.target import TargetSpec

#: How activations may lie: vectors of tokens side by side, or all features of a token.
FEATURE_MAJOR, TOKEN_MAJOR = LAYOUTS = ("feature-major", "token-major")
#: Vectors in a slab, the best first: a wide slab spares index arithmetic, a narrow one fits more shapes.
_VECTORS = (4, 3, 2, 1)


@dataclass(frozen=True)
class Slabs:
    """The layout of activations, and who works on what.

    Parameters
    ----------
    padded
        Columns that a sequence takes: whole vectors, or its tokens where a slab is one token.
    slab
        Tokens in a slab, a divisor of ``padded``.
    token_shares, row_shares
        Threads that divide the slabs, and threads that divide the rows of a weight; they multiply to all threads.
    """

    padded: int
    slab: int
    token_shares: int
    row_shares: int


def slabs_for(batch: int, seq: int, spec: TargetSpec, layout: str = FEATURE_MAJOR) -> Slabs:
    """Choose the slabs for ``batch`` sequences of ``seq`` tokens: the widest that divides evenly, if any does.

    Token-major activations are slabs of one token, which need no padding.
    """
    if layout == TOKEN_MAJOR:
        token_shares = math.gcd(batch * seq, spec.threads)
        return Slabs(seq, 1, token_shares, spec.threads // token_shares)
    padded = -(-seq // spec.lanes) * spec.lanes
    widths = [v * spec.lanes for v in _VECTORS if padded % (v * spec.lanes) == 0]
    even = (width for width in widths if batch * padded // width % spec.threads == 0)
    slab = next(even, widths[0])
    token_shares = math.gcd(batch * padded // slab, spec.threads)
    return Slabs(padded, slab, token_shares, spec.threads // token_shares)
