"""The int8 forms of an encoder: each by the means and in the settings that its library's documentation names.

Weights are quantised by output, activations by ranges that the examples have; "dynamic" finds these anew at each call.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from codesign.isa import cpu_flags

#: Where ``make peers`` puts torchao: in the environment, transformers would import it in every process, a second each.
TORCHAO = Path(__file__).parents[3] / ".venv" / "torchao"

#: Inputs by name.
Inputs = dict[str, np.ndarray]


def narrow() -> bool:
    """Say whether weights should keep to 7 bits.

    Without VNNI, products of uint8 and int8 are added in pairs in 16 bits (vpmaddubsw), and two large ones saturate.
    """
    return not cpu_flags() & {"avx512_vnni", "avx_vnni"}


def openvino_static(source: Path, path: Path, _: Inputs, examples: list[Inputs]) -> None:
    """Quantise by NNCF."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # the import then fails: nothing is sent
    import nncf
    import openvino
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

    quantized = nncf.quantize(
        openvino.Core().read_model(source),
        nncf.Dataset(examples),
        preset=nncf.QuantizationPreset.PERFORMANCE,  # as near to float32 as MIXED, and faster
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(examples),
        advanced_parameters=AdvancedQuantizationParameters(
            overflow_fix=OverflowFix.ENABLE if narrow() else OverflowFix.DISABLE
        ),
    )
    openvino.save_model(quantized, path, compress_to_fp16=False)


def onnx_static(source: Path, path: Path, _: Inputs, examples: list[Inputs], bias: bool = True) -> None:
    """Quantise by ONNX Runtime's tools, biases as well or not."""
    import onnx
    from onnxruntime import quantization

    prepared, rows = path.with_name("prepared.onnx"), iter(examples)
    quantization.quant_pre_process(source, prepared, skip_symbolic_shape=True)  # shapes are static
    quantization.quantize_static(
        prepared,
        path,
        SimpleNamespace(get_next=lambda: next(rows, None)),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        reduce_range=narrow(),
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        # sums stay float32: MiniLM's cosine is 0.990, and 0.921 if they are rounded to 8 bits as well
        extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"], "QuantizeBias": bias},
    )
    prepared.unlink()
    made = onnx.load(path)
    used = {node.domain for node in made.graph.node}
    for stamp in [each for each in made.opset_import if each.domain not in used]:
        made.opset_import.remove(stamp)  # DeepSparse refuses a file that names newer operators, used or not
    onnx.save(made, path)


def onnx_dynamic(source: Path, path: Path, given: Inputs, examples: list[Inputs]) -> None:
    """Quantise by ONNX Runtime's tools, attention fused before: there is an operator for its whole in int8."""
    import onnx
    from onnxruntime import quantization
    from onnxruntime.transformers.optimizer import optimize_model

    quantization.quantize_dynamic(
        optimize_model(str(source), model_type="bert").model,
        path,
        per_channel=True,
        reduce_range=narrow(),
        weight_type=quantization.QuantType.QInt8,
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},  # shapes behind fused operators are not inferred
    )


def torch_static(model: Any, names: list[str], path: Path, given: Inputs, examples: list[Inputs]) -> None:
    """Quantise by torchao, in the graph that PyTorch exports; Inductor then makes int8 kernels of it."""
    import torch

    sys.path.append(str(TORCHAO))
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

    def tensors(inputs: Inputs) -> tuple[torch.Tensor, ...]:
        return tuple(torch.from_numpy(inputs[name]) for name in names)

    config = x86.get_default_x86_inductor_quantization_config(reduce_range=narrow())
    quantizer = x86.X86InductorQuantizer().set_global(config)
    with torch.no_grad():
        prepared = prepare_pt2e(torch.export.export(model, tensors(given)).module(), quantizer)
        for inputs in examples:
            prepared(*tensors(inputs))
        torch.export.save(torch.export.export(convert_pt2e(prepared), tensors(given)), path)
