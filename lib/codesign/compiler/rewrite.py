"""Rewrite an encoder to our operators: linears (sparse or dense), attention, layer norm.

The graph is walked once, in order. Each value is either an ordinary Relax variable or one that lives feature-major,
in slabs of ``[features, tokens]``, with names for its logical axes. Splitting features into heads and permuting axes
then costs nothing: only the names move. Linears stay *pending* until something needs their result, so that a bias, a
GELU or a residual that follows becomes their epilogue. Whatever the walk does not know is left to TVM, on token-major
values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from codesign.blocks import BlockShape
from codesign.compiler.formats.int8 import quantised
from codesign.compiler.layout import FEATURE_MAJOR, TOKEN_MAJOR, Layout
from codesign.compiler.operators import (
    Attention,
    LayerNorm,
    Linear,
    Operator,
    Rounded,
    ToFeatureMajor,
    TokenSteps,
    ToTokenMajor,
    pack,
)
from codesign.compiler.schedules import applicable, refusals
from codesign.compiler.tvm_compat import relax, tvm
from codesign.compiler.values import HEADS, HIDDEN, FeatureMajor, Pending, Weight, shape_of
from codesign.errors import InputError

#: Name of an argument -> name of the weight in the model, and its values.
Weights = dict[str, tuple[str, np.ndarray]]


class Rewriter:
    """The walk: what each variable has become, and what has been emitted so far.

    Parameters
    ----------
    function, weights
        An encoder in Relax, with attention kept as one operator: its data arguments are followed by the weights, which
        are given by the argument's name, with their names in the model.
    block
        Block shape of sparse weights; None stores every weight whole.
    layout
        Of the activations.
    """

    def __init__(self, function: relax.Function, weights: Weights, block: BlockShape | None, layout: Layout) -> None:
        self.function, self.weights, self.block, self.layout = function, weights, block, layout
        self.builder = relax.BlockBuilder()
        self.values: dict[Any, Any] = {}
        self.params: dict[str, tuple[relax.Var, np.ndarray]] = {}
        self.functions: dict[Operator, relax.GlobalVar] = {}
        self.converted: dict[Any, relax.Expr] = {}
        self.rounded: dict[relax.Expr, tuple[relax.Expr, relax.Expr]] = {}
        self.stored: dict[str, Linear] = {}

    def run(self) -> tuple[tvm.IRModule, dict[str, np.ndarray]]:
        """Return the rewritten module, and its weight arguments by name; ``stored`` has each linear."""
        function = self.function
        inputs = list(function.params[: int(function.attrs["num_input"])])
        with self.builder.function("main", inputs):
            with self.builder.dataflow():
                for block in function.body.blocks:
                    for binding in block.bindings:
                        self.values[binding.var] = self.visit(binding.value)
                output = self.builder.emit_output(self.token_major(function.body.body))
            self.builder.emit_func_output(output)
        module = self.builder.get()
        main = module["main"]
        variables, arrays = zip(*self.params.values(), strict=True)
        module["main"] = relax.Function([*main.params, *variables], main.body, main.ret_ty).with_attrs(
            {"global_symbol": "main", "num_input": len(inputs)}
        )
        names = [variable.name for variable in variables]
        return relax.transform.Normalize()(module), dict(zip(names, arrays, strict=True))

    def visit(self, expr: relax.Expr) -> Any:
        if isinstance(expr, relax.Var):
            return self.values.get(expr, expr)
        if not isinstance(expr, relax.Call):
            return self.builder.emit(expr)
        if rule := RULES.get(getattr(expr.op, "name", "")):
            value = rule(self, expr, *[self.values.get(arg, arg) for arg in expr.args])
            if value is not None:
                return value
        arguments = [self.token_major(arg) if isinstance(arg, relax.Var) else arg for arg in expr.args]
        return self.builder.emit(relax.Call(expr.op, arguments, expr.attrs, expr.ty_args))

    def token_major(self, var: relax.Expr) -> relax.Expr:
        """Return an argument as an ordinary variable, whatever it has become."""
        value = self.values.get(var, var)
        if isinstance(value, Weight):
            return self.builder.emit(relax.op.permute_dims(self.weight(value.name)))
        if isinstance(value, FeatureMajor):
            return self.to_token_major(value)
        return self.weight(value.name) if self.is_weight(value) else value

    def to_token_major(self, value: FeatureMajor) -> relax.Expr:
        store = self.store(value)
        features = int(store.ty.shape[1])
        at = self.layout
        if at.token_major:
            result = self.builder.emit(relax.op.reshape(store, (at.batch, at.seq, features)))
        else:
            result = self.call(ToTokenMajor(at.batch, at.seq, at.padded, features, at.slab), [store])
        if value.axes == HIDDEN:
            return result
        sizes = dict(zip(value.axes, value.shape, strict=True))
        split = self.builder.emit(relax.op.reshape(result, (at.batch, at.seq, sizes["h"], sizes["d"])))
        return self.builder.emit(relax.op.permute_dims(split, ["bshd".index(axis) for axis in value.axes]))

    def feature_major(self, value: Any) -> relax.Expr | None:
        """Return the stored form, in slabs, of a value of logical shape [batch, seq, features]."""
        if isinstance(value, FeatureMajor):
            return self.store(value) if value.axes == HIDDEN else None
        at = self.layout
        if not isinstance(value, relax.Var) or shape_of(value)[:-1] != (at.batch, at.seq):
            return None
        if value not in self.converted:
            features = shape_of(value)[-1]
            if at.token_major:
                self.converted[value] = self.builder.emit(relax.op.reshape(value, (at.tokens, features, 1)))
            else:
                operator = ToFeatureMajor(at.batch, at.seq, at.padded, features, at.slab)
                self.converted[value] = self.call(operator, [value])
        return self.converted[value]

    def store(self, value: FeatureMajor) -> relax.Expr:
        """Return the variable behind a feature-major value, emitting a linear that is still pending."""
        if not isinstance(value.store, Pending):
            return value.store
        if value.store not in self.converted:
            self.converted[value.store] = self.emit_linear(value.store)
        return self.converted[value.store]

    def call(self, operator: Operator, arguments: list[relax.Expr]) -> relax.Expr:
        if operator not in self.functions:
            self._check(operator)
            self.functions[operator] = self.builder.add_func(operator.unscheduled(), operator.kind)
        output = operator.arguments()[-1]
        type_ = relax.TensorType(output.shape, output.dtype)
        return self.builder.emit(relax.call_tir(self.functions[operator], arguments, type_))

    def _check(self, operator: Operator) -> None:
        """Refuse an operator that no schedule family can compute, rather than fail when it is tuned or built."""
        spec = self.layout.spec
        if applicable(operator, spec):
            return
        if isinstance(operator, Linear) and not operator.is_dense and self.layout.token_major:
            rows = -(-operator.rows // spec.lanes) * spec.lanes
            block, nearest = (str(BlockShape(r, operator.cols)) for r in (operator.rows, rows))
            raise InputError("block", block, f"whole vectors of {spec.lanes} rows, if token-major", nearest)
        layout = TOKEN_MAJOR if self.layout.token_major else FEATURE_MAJOR
        reasons = "; ".join(f"{family}: {reason}" for family, reason in refusals(operator, spec).items())
        raise InputError("layout", layout, f"a model whose {operator.kind} some family computes ({reasons})")

    def emit_linear(self, pending: Pending) -> relax.Expr:
        path, weight = self.weights[pending.weight]
        matrix = self.layout.stored(weight, self.block)
        epilogue = "bias_gelu" if pending.gelu else "bias" if pending.residual is None else "bias_residual"
        operator = self.layout.linear(matrix.shape, matrix.block, matrix.nnz_blocks, epilogue)
        self.stored[path] = operator
        x, scales = pending.x, []
        if self.layout.number.scaled:
            matrix, of_rows = quantised(matrix)
            x, steps = self.round(pending.x)
            scales = [self.param(f"{path}.scales", of_rows), steps]
        packed = pack(matrix, *operator.packing())._asdict()
        arrays = [self.param(f"{path}.{name}", array) for name, array in packed.items()]
        if pending.bias is None:
            bias = self.param(f"{path}.no_bias", np.zeros(weight.shape[0], np.float32))
        else:
            bias = self.weight(pending.bias)
        residual = [] if pending.residual is None else [pending.residual]
        return self.call(operator, [x, *arrays, bias, *scales, *residual])

    def round(self, x: relax.Expr) -> tuple[relax.Expr, relax.Expr]:
        """Return activations in whole numbers, and what one counts for in each token; Q, K and V share them."""
        if x not in self.rounded:
            sizes = int(x.ty.shape[1]), self.layout.tokens, self.layout.slab
            steps = self.call(TokenSteps(*sizes), [x])
            self.rounded[x] = self.call(Rounded(*sizes), [x, steps]), steps
        return self.rounded[x]

    def is_weight(self, value: Any) -> bool:
        return isinstance(value, relax.Var) and value.name in self.weights

    def weight(self, name: str) -> relax.Var:
        return self.param(*self.weights[name])

    def param(self, name: str, array: np.ndarray) -> relax.Var:
        if name not in self.params:
            var = relax.Var(name.replace(".", "_"), relax.TensorType(array.shape, str(array.dtype)))
            self.params[name] = (var, array)
        return self.params[name][0]


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
    outputs = walk.weights[weight.name][1].shape[0]
    return FeatureMajor(Pending(store, weight.name), HIDDEN, (walk.layout.batch, walk.layout.seq, outputs))


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
    operator = LayerNorm(features, walk.layout.tokens, float(call.attrs.epsilon), walk.layout.slab)
    result = walk.call(operator, [store, walk.weight(gamma.name), walk.weight(beta.name)])
    return FeatureMajor(result, HIDDEN, (walk.layout.batch, walk.layout.seq, features))


def _attention(walk: Rewriter, call: relax.Call, query: Any, key: Any, value: Any, bias: Any) -> Any:
    heads, at = (query, key, value), walk.layout
    if not all(isinstance(x, FeatureMajor) and x.axes == HEADS for x in heads):
        return None
    if shape_of(bias) != (at.batch, 1, 1, at.seq) or call.attrs.scale is not None:
        return None
    *_, count, size = query.shape
    operator = Attention(at.batch, at.seq, at.padded, count, size, at.slab)
    if bias not in walk.converted:  # every layer uses the same mask
        walk.converted[bias] = walk.builder.emit(relax.op.reshape(bias, (at.batch, at.seq)))
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
