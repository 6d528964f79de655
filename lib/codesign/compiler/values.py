"""What the values of an encoder become while it is rewritten to our operators."""

from __future__ import annotations

from dataclasses import dataclass

from codesign.compiler.tvm_compat import relax

#: Logical axes of a hidden state: batch, sequence, features; heads split the last into heads and head features.
HIDDEN, HEADS = ("b", "s", "f"), ("b", "s", "h", "d")


@dataclass(frozen=True, eq=False)
class Weight:
    """A transposed weight argument, waiting for its matmul."""

    name: str


@dataclass(frozen=True, eq=False)
class Pending:
    """A linear whose epilogue is still open."""

    x: relax.Expr
    weight: str
    bias: str | None = None
    gelu: bool = False
    residual: relax.Expr | None = None


@dataclass(frozen=True, eq=False)
class FeatureMajor:
    """A value stored as ``[slabs, features, tokens of a slab]``; ``axes`` names its logical dimensions in order."""

    store: relax.Expr | Pending
    axes: tuple[str, ...]
    shape: tuple[int, ...]


def shape_of(var: relax.Expr) -> tuple[int, ...]:
    """Return the static shape of a Relax expression."""
    return tuple(int(extent) for extent in var.ty.shape)
