#!/usr/bin/env bash
# ONNX Runtime's guide to static quantisation has two steps: quant_pre_process, then quantize_static. The first runs
# the basic graph optimisations, and they fuse each MatMul with the Add of its bias into a Gemm, in 2-D as it stands and
# in 3-D between two Reshapes. The second, told to quantise "MatMul" as one tells it for a transformer, then finds none,
# says nothing, and writes a model whose linear layers are all float32. Without the first step the same call quantises
# them. quantize_dynamic is not touched: it turns Gemm back into MatMul first.
# Expected: the model is quantised, or the call says that nothing matched.
#
# What helps: op_types_to_quantize=["MatMul", "Gemm"], and counting QuantizeLinear in what was written.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 sympy==1.14.0
cat >"$work/look.py" <<'PY'
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quant_pre_process, quantize_static

folder, shape, random = sys.argv[1], (1, 8, 64), np.random.default_rng(0)
weights = numpy_helper.from_array(random.standard_normal((64, 64), dtype=np.float32), "w")
bias = numpy_helper.from_array(random.standard_normal(64, dtype=np.float32), "b")
nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Add", ["m", "b"], ["y"])]
ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)] for name in "xy"]
graph = helper.make_graph(nodes, "linear", *ends, [weights, bias])
plain, prepared, written = (f"{folder}/{name}.onnx" for name in ("plain", "prepared", "written"))
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), plain)
quant_pre_process(plain, prepared)


class Reader(CalibrationDataReader):
    def __init__(self):
        self.left = [{"x": random.standard_normal(shape, dtype=np.float32)} for _ in range(4)]

    def get_next(self):
        return self.left.pop() if self.left else None


def quantized(source, types):
    quantize_static(source, written, Reader(), op_types_to_quantize=types, weight_type=QuantType.QInt8)
    return "quantised" if any(n.op_type == "QuantizeLinear" for n in onnx.load(written).graph.node) else "float32"


print(f"{quantized(plain, ['MatMul'])}, prepared {quantized(prepared, ['MatMul'])},", end=" ")
print(f"prepared and told of Gemm {quantized(prepared, ['MatMul', 'Gemm'])}")
PY
seen=$("$work/env/bin/python" "$work/look.py" "$work" 2>"$work/errors" | tail -1) || { tail -5 "$work/errors"; exit 1; }
echo "onnxruntime 1.32.0: a linear layer, statically quantised by op_types_to_quantize=['MatMul']"
echo "expected: quantised, prepared quantised, prepared and told of Gemm quantised"
echo "seen:     $seen"
[ "$seen" = "quantised, prepared float32, prepared and told of Gemm quantised" ]
