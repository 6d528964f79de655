"""How each Relax operator acts on feature-major values: one rule an operator.

A rule returns the new value, or None to leave the call to TVM on token-major values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from codesign.compiler.operators import Attention, LayerNorm
from codesign.compiler.tvm_compat import relax

if TYPE_CHECKING:
    from codesign.compiler.rewrite import Rewriter

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


def _permute_dims(walk: Rewriter, call: relax.Call, x: Any) -> Any:
    if walk.is_weight(x) and len(shape_of(x)) == 2:
        return Weight(x.name)
    if not isinstance(x, FeatureMajor):
        return None
    order = [int(axis) for axis in call.attrs.axes or reversed(range(len(x.axes)))]
    return replace(x, axes=tuple(x.axes[a] for a in order), shape=tuple(x.shape[a] for a in order))


def _reshape(walk: Rewriter, call: relax.Call, x: Any, shape: Any) -> Any:
    if not isinstance(x, FeatureMajor):
        return None
    target = tuple(int(extent) for extent in shape)
    if target == x.shape:
        return x
    for before, after in ((HIDDEN, HEADS), (HEADS, HIDDEN)):
        if x.axes == before and len(target) == len(after) and target[:2] == x.shape[:2]:
            return replace(x, axes=after, shape=target)
    return None


def _matmul(walk: Rewriter, call: relax.Call, x: Any, weight: Any) -> Any:
    store = walk.feature_major(x) if isinstance(weight, Weight) else None
    if store is None:
        return None
    outputs = walk.imported.arrays[walk.imported.weights[weight.name]].shape[0]
    return FeatureMajor(Pending(store, weight.name), HIDDEN, (walk.batch, walk.seq, outputs))


def _add(walk: Rewriter, call: relax.Call, a: Any, b: Any) -> Any:
    for value, other in ((a, b), (b, a)):
        if not (isinstance(value, FeatureMajor) and isinstance(value.store, Pending)) or value.store.gelu:
            continue
        if walk.is_weight(other):
            if value.store.bias is None and shape_of(other) == value.shape[-1:]:
                return replace(value, store=replace(value.store, bias=other.name))
        elif value.store.residual is None and (residual := walk.feature_major(other)) is not None:
            return replace(value, store=replace(value.store, residual=residual))
    return None


def _gelu(walk: Rewriter, call: relax.Call, x: Any) -> Any:
    if isinstance(x, FeatureMajor) and isinstance(x.store, Pending) and not x.store.gelu and x.store.residual is None:
        return replace(x, store=replace(x.store, gelu=True))
    return None


def _layer_norm(walk: Rewriter, call: relax.Call, x: Any, gamma: Any, beta: Any) -> Any:
    store = walk.feature_major(x) if [int(axis) for axis in call.attrs.axes] == [-1] else None
    if store is None:
        return None
    features = int(store.ty.shape[1])
    operator = LayerNorm(features, walk.tokens, float(call.attrs.epsilon), walk.slabs.slab)
    result = walk.call(operator, [store, walk.weight(gamma.name), walk.weight(beta.name)])
    return FeatureMajor(result, HIDDEN, (walk.batch, walk.seq, features))


def _attention(walk: Rewriter, call: relax.Call, query: Any, key: Any, value: Any, bias: Any) -> Any:
    heads = (query, key, value)
    if not all(isinstance(x, FeatureMajor) and x.axes == HEADS for x in heads):
        return None
    if shape_of(bias) != (walk.batch, 1, 1, walk.seq) or call.attrs.scale is not None:
        return None
    *_, count, size = query.shape
    operator = Attention(walk.batch, walk.seq, walk.slabs.padded, count, size, walk.slabs.slab)
    if bias not in walk.converted:  # every layer uses the same mask
        walk.converted[bias] = walk.builder.emit(relax.op.reshape(bias, (walk.batch, walk.seq)))
    return replace(query, store=walk.call(operator, [*map(walk.store, heads), walk.converted[bias]]))


RULES: dict[str, Callable[..., Any]] = {
    "relax.permute_dims": _permute_dims,
    "relax.reshape": _reshape,
    "relax.matmul": _matmul,
    "relax.add": _add,
    "relax.nn.gelu": _gelu,
    "relax.nn.layer_norm": _layer_norm,
    "relax.nn.attention_bias": _attention,
}
