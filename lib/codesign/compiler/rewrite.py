"""Rewrite an encoder to our operators: linears (sparse or dense), attention, layer norm.

The graph is walked once, in order. Each value is either an ordinary Relax variable or one that lives feature-major,
in slabs of ``[features, tokens]``, with names for its logical axes. Splitting features into heads and permuting axes
then costs nothing: only the names move. Linears stay *pending* until something needs their result, so that a bias, a
GELU or a residual that follows becomes their epilogue. Whatever the walk does not know is left to TVM, on token-major
values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from codesign.blocks import BlockShape
from codesign.compiler.layout import FEATURE_MAJOR, TOKEN_MAJOR, linear_over, slabs_for, stored_as
from codesign.compiler.operators import Linear, Operator, ToFeatureMajor, ToTokenMajor, pack
from codesign.compiler.operators.linear import DENSE_ROWS, PANEL_ROWS, panel_rows
from codesign.compiler.rules import HIDDEN, RULES, FeatureMajor, Pending, Weight, shape_of
from codesign.compiler.schedules import applicable, refusals
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import relax, tvm
from codesign.errors import InputError

if TYPE_CHECKING:  # imports torch
    from codesign.compiler.frontend import Imported


@dataclass
class Rewriter:
    """The walk: what each variable has become, and what has been emitted so far.

    Parameters
    ----------
    imported
        With attention kept as one operator.
    block
        Block shape of sparse weights; None stores every weight whole.
    batch, seq
        As exported.
    spec
        Gives lanes to pad tokens to and threads to divide rows among.
    layout, strips, dtype
        As of `codesign.compiler.lower_encoder`.
    """

    imported: Imported
    block: BlockShape | None
    batch: int
    seq: int
    spec: TargetSpec
    layout: str = FEATURE_MAJOR
    strips: bool = True
    dtype: str = "float32"
    builder: relax.BlockBuilder = field(default_factory=relax.BlockBuilder)
    values: dict[Any, Any] = field(default_factory=dict)
    params: dict[str, tuple[relax.Var, np.ndarray]] = field(default_factory=dict)
    functions: dict[Operator, relax.GlobalVar] = field(default_factory=dict)
    converted: dict[Any, relax.Expr] = field(default_factory=dict)
    stored: dict[str, Linear] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.slabs = slabs_for(self.batch, self.seq, self.spec, self.layout)
        self.tokens = self.batch * self.slabs.padded
        self.strips &= self.layout == FEATURE_MAJOR

    def run(self) -> tuple[tvm.IRModule, dict[str, np.ndarray]]:
        """Return the rewritten module, and its weight arguments by name; ``stored`` then says how linears are."""
        function = self.imported.function
        inputs = list(function.params[: self.imported.inputs])
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

    # -- values -------------------------------------------------------------------------------------------------

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
        if self.layout == TOKEN_MAJOR:
            result = self.builder.emit(relax.op.reshape(store, (self.batch, self.seq, features)))
        else:
            operator = ToTokenMajor(self.batch, self.seq, self.slabs.padded, features, self.slabs.slab)
            result = self.call(operator, [store])
        if value.axes == HIDDEN:
            return result
        sizes = dict(zip(value.axes, value.shape, strict=True))
        split = self.builder.emit(relax.op.reshape(result, (self.batch, self.seq, sizes["h"], sizes["d"])))
        return self.builder.emit(relax.op.permute_dims(split, ["bshd".index(axis) for axis in value.axes]))

    def feature_major(self, value: Any) -> relax.Expr | None:
        """Return the stored form, in slabs, of a value of logical shape [batch, seq, features]."""
        if isinstance(value, FeatureMajor):
            return self.store(value) if value.axes == HIDDEN else None
        if not isinstance(value, relax.Var) or shape_of(value)[:-1] != (self.batch, self.seq):
            return None
        if value not in self.converted:
            features = shape_of(value)[-1]
            if self.layout == TOKEN_MAJOR:
                self.converted[value] = self.builder.emit(relax.op.reshape(value, (self.tokens, features, 1)))
            else:
                operator = ToFeatureMajor(self.batch, self.seq, self.slabs.padded, features, self.slabs.slab)
                self.converted[value] = self.call(operator, [value])
        return self.converted[value]

    def store(self, value: FeatureMajor) -> relax.Expr:
        """Return the variable behind a feature-major value, emitting a linear that is still pending."""
        if not isinstance(value.store, Pending):
            return value.store
        if value.store not in self.converted:
            self.converted[value.store] = self.emit_linear(value.store)
        return self.converted[value.store]

    # -- operators ----------------------------------------------------------------------------------------------

    def call(self, operator: Operator, arguments: list[relax.Expr]) -> relax.Expr:
        if operator not in self.functions:
            self._check(operator)
            self.functions[operator] = self.builder.add_func(operator.unscheduled(), operator.kind)
        output = operator.arguments()[-1]
        type_ = relax.TensorType(output.shape, output.dtype)
        return self.builder.emit(relax.call_tir(self.functions[operator], arguments, type_))

    def _check(self, operator: Operator) -> None:
        """Refuse an operator that no schedule family can compute, rather than fail when it is tuned or built."""
        if applicable(operator, self.spec):
            return
        if isinstance(operator, Linear) and not operator.is_dense and self.layout == TOKEN_MAJOR:
            rows = -(-operator.rows // self.spec.lanes) * self.spec.lanes
            block, nearest = (str(BlockShape(r, operator.cols)) for r in (operator.rows, rows))
            raise InputError("block", block, f"whole vectors of {self.spec.lanes} rows, if token-major", nearest)
        reasons = "; ".join(f"{family}: {reason}" for family, reason in refusals(operator, self.spec).items())
        raise InputError("layout", self.layout, f"a model whose {operator.kind} some family computes ({reasons})")

    def emit_linear(self, pending: Pending) -> relax.Expr:
        path = self.imported.weights[pending.weight]
        weight = self.imported.arrays[path]
        if self.layout == TOKEN_MAJOR:
            panel = PANEL_ROWS
        else:
            panel = panel_rows(self.slabs.slab // self.spec.lanes) if self.strips else DENSE_ROWS
        matrix = stored_as(weight, self.block, panel)
        epilogue = "bias_gelu" if pending.gelu else "bias" if pending.residual is None else "bias_residual"
        sizes = matrix.shape, matrix.block, matrix.nnz_blocks
        operator = linear_over(
            self.slabs, self.batch, *sizes, epilogue, self.spec, strips=self.strips, dtype=self.dtype
        )
        self.stored[path] = operator
        packed = pack(matrix, *operator.packing())._asdict()
        arrays = [self.param(f"{path}.{name}", array) for name, array in packed.items()]
        if pending.bias is None:
            bias = self.param(f"{path}.no_bias", np.zeros(weight.shape[0], np.float32))
        else:
            bias = self.weight(pending.bias)
        residual = [] if pending.residual is None else [pending.residual]
        return self.call(operator, [pending.x, *arrays, bias, *residual])

    def is_weight(self, value: Any) -> bool:
        return isinstance(value, relax.Var) and value.name in self.imported.weights

    def weight(self, name: str) -> relax.Var:
        path = self.imported.weights[name]
        return self.param(path, self.imported.arrays[path])

    def param(self, name: str, array: np.ndarray) -> relax.Var:
        if name not in self.params:
            var = relax.Var(name.replace(".", "_"), relax.TensorType(array.shape, str(array.dtype)))
            self.params[name] = (var, array)
        return self.params[name][0]
