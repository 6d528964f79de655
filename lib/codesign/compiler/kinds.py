"""What a kernel of a compiled encoder is for: names that a profile can group by."""

from __future__ import annotations

from codesign.compiler.operators import Attention, LayerNorm, Linear, ToFeatureMajor, ToTokenMajor, operator_of
from codesign.compiler.tvm_compat import tirx, tvm
from codesign.schema import KERNEL_KINDS

SPARSE, DENSE, ATTENTION, LAYER_NORM, GELU, EMBEDDING, LAYOUT, OTHER = KINDS = KERNEL_KINDS

#: Our operators; a `Linear` is told by its storage.
_OURS = {Attention: ATTENTION, LayerNorm: LAYER_NORM, ToFeatureMajor: LAYOUT, ToTokenMajor: LAYOUT}
#: Words in the names that TVM gives to its own functions, from the operators that it fused; the first match counts.
_WORDS = (
    ("softmax", ATTENTION),
    ("layer_norm", LAYER_NORM),
    ("gelu", GELU),
    ("erf", GELU),
    ("take", EMBEDDING),
    ("strided_slice", EMBEDDING),  # of the position table
    ("_cast", OTHER),  # ids and mask as they come in
    ("matmul", DENSE),
    ("add", DENSE),  # biases and residuals that TVM left outside its products
    ("transpose", LAYOUT),
    ("permute", LAYOUT),
    ("reshape", LAYOUT),
    ("layout", LAYOUT),
)
#: A product of two activations has no weight of rank 2.
_HEADS_RANK = 3


def kinds(module: tvm.IRModule) -> dict[str, str]:
    """Kind of every TensorIR function of a module, by name."""
    found = module.functions_items()
    return {name.name_hint: kind_of(name.name_hint, f) for name, f in found if isinstance(f, tirx.PrimFunc)}


def kind_of(name: str, function: tirx.PrimFunc) -> str:
    """Kind of one function, `OTHER` where nothing tells."""
    operator = operator_of(function)
    if isinstance(operator, Linear):
        return DENSE if operator.is_dense else SPARSE
    if operator is not None:
        return _OURS.get(type(operator), OTHER)
    kind = next((kind for word, kind in _WORDS if word in name), OTHER)
    if "matmul" in name and kind == DENSE:
        ranks = [len(param.shape) for param in list(function.params)[:2]]
        return ATTENTION if min(ranks) >= _HEADS_RANK and ranks[0] == ranks[1] else DENSE
    return kind
