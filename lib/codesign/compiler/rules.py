"""How each Relax operator acts on feature-major values: one rule an operator.

A rule returns the new value, or None to leave the call to TVM on token-major values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from codesign.compiler.operators import Attention, LayerNorm
from codesign.compiler.tvm_compat import relax
from codesign.compiler.values import HEADS, HIDDEN, FeatureMajor, Pending, Weight, shape_of

if TYPE_CHECKING:
    from codesign.compiler.feature_major import Rewriter


def _permute_dims(rewriter: Rewriter, call: relax.Call, x: Any) -> Any:
    if isinstance(x, relax.Var) and x.name in rewriter.imported.weights and len(shape_of(x)) == 2:
        return Weight(x.name)
    if not isinstance(x, FeatureMajor):
        return None
    order = call.attrs.axes or reversed(range(len(x.axes)))
    order = [int(axis) for axis in order]
    return replace(x, axes=tuple(x.axes[a] for a in order), shape=tuple(x.shape[a] for a in order))


def _reshape(rewriter: Rewriter, call: relax.Call, x: Any, shape: Any) -> Any:
    if not isinstance(x, FeatureMajor):
        return None
    target = tuple(int(extent) for extent in shape)
    if target == x.shape:
        return x
    if x.axes == HIDDEN and len(target) == 4 and target[:2] == x.shape[:2]:
        return replace(x, axes=HEADS, shape=target)
    if x.axes == HEADS and len(target) == 3 and target[:2] == x.shape[:2]:
        return replace(x, axes=HIDDEN, shape=target)
    return None


def _matmul(rewriter: Rewriter, call: relax.Call, x: Any, weight: Any) -> Any:
    if not isinstance(weight, Weight):
        return None
    store = rewriter.feature_major(x)
    if store is None:
        return None
    outputs = rewriter.imported.arrays[rewriter.imported.weights[weight.name]].shape[0]
    shape = (rewriter.batch, rewriter.seq, outputs)
    return FeatureMajor(Pending(store, weight.name), HIDDEN, shape)


def _add(rewriter: Rewriter, call: relax.Call, a: Any, b: Any) -> Any:
    for value, other in ((a, b), (b, a)):
        if not (isinstance(value, FeatureMajor) and isinstance(value.store, Pending)) or value.store.gelu:
            continue
        if isinstance(other, relax.Var) and other.name in rewriter.imported.weights:
            if value.store.bias is None and shape_of(other) == value.shape[-1:]:
                return replace(value, store=replace(value.store, bias=other.name))
        elif value.store.residual is None and (residual := rewriter.feature_major(other)) is not None:
            return replace(value, store=replace(value.store, residual=residual))
    return None


def _gelu(rewriter: Rewriter, call: relax.Call, x: Any) -> Any:
    if isinstance(x, FeatureMajor) and isinstance(x.store, Pending) and not x.store.gelu and x.store.residual is None:
        return replace(x, store=replace(x.store, gelu=True))
    return None


def _layer_norm(rewriter: Rewriter, call: relax.Call, x: Any, gamma: Any, beta: Any) -> Any:
    store = rewriter.feature_major(x) if [int(axis) for axis in call.attrs.axes] == [-1] else None
    if store is None:
        return None
    features = int(store.ty.shape[1])
    operator = LayerNorm(features, rewriter.tokens, float(call.attrs.epsilon), rewriter.slabs.slab)
    result = rewriter.call(operator, [store, rewriter.weight(gamma.name), rewriter.weight(beta.name)])
    return FeatureMajor(result, HIDDEN, (rewriter.batch, rewriter.seq, features))


def _attention(rewriter: Rewriter, call: relax.Call, query: Any, key: Any, value: Any, bias: Any) -> Any:
    heads = (query, key, value)
    if not all(isinstance(x, FeatureMajor) and x.axes == HEADS for x in heads):
        return None
    if shape_of(bias) != (rewriter.batch, 1, 1, rewriter.seq) or call.attrs.scale is not None:
        return None
    slabs = rewriter.slabs
    sizes = rewriter.batch, rewriter.seq, slabs.padded, query.shape[2], query.shape[3]
    operator = Attention(*sizes, slabs.slab)
    if bias not in rewriter.converted:  # every layer uses the same mask
        flat = relax.op.reshape(bias, (rewriter.batch, rewriter.seq))
        rewriter.converted[bias] = rewriter.builder.emit(flat)
    return replace(
        query, store=rewriter.call(operator, [*(rewriter.store(x) for x in heads), rewriter.converted[bias]])
    )


RULES: dict[str, Callable[..., Any]] = {
    "relax.permute_dims": _permute_dims,
    "relax.reshape": _reshape,
    "relax.matmul": _matmul,
    "relax.add": _add,
    "relax.nn.gelu": _gelu,
    "relax.nn.layer_norm": _layer_norm,
    "relax.nn.attention_bias": _attention,
}
