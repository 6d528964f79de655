"""The operators added to TVM, all over feature-major activations ``[features, tokens]``.

An operator says *what* is computed: its arguments, an unscheduled TensorIR function that TVM can extract as a
tuning task, and a float64 NumPy oracle. *How* is a schedule family's business (``codesign.compiler.schedules``).
"""

from __future__ import annotations

from codesign.compiler.operators.attention import Attention
from codesign.compiler.operators.base import Argument, Operator, family_operator_of, operator_from, operator_of
from codesign.compiler.operators.layer_norm import LayerNorm
from codesign.compiler.operators.layout import ToFeatureMajor, ToTokenMajor
from codesign.compiler.operators.linear import Linear
from codesign.compiler.operators.packing import PackedLinear, pack
from codesign.compiler.operators.rounding import Rounded, TokenSteps
from codesign.compiler.operators.row_balanced import RowBalanced
