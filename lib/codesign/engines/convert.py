"""Turn a checkpoint into what other engines read: ``python -m codesign.engines.convert`` with the fields of `main`.

A process of its own, so that neither PyTorch's memory nor its threads stay in the worker of the engine.
"""

from __future__ import annotations

import sys
from pathlib import Path

from codesign.engines.base import OUTPUT, load_arrays

#: File of each format in the directory of a converted encoder.
FILES = {"onnx": "model.onnx", "openvino": "model.xml"}
#: How the encoder is written for each format: ONNX has no fused attention that every engine reads.
ATTENTION = {"onnx": "eager", "openvino": "sdpa"}
#: The newest operators that DeepSparse reads.
OPSET = 14


def main(form: str, checkpoint: str, inputs: str, directory: str) -> None:
    """Convert.

    Parameters
    ----------
    form
        Key of `FILES`.
    checkpoint
        Directory of the encoder.
    inputs
        File (.npz) with the encoder's inputs by name; their shapes become static.
    directory
        Where to write; it exists.
    """
    import torch

    from codesign.encoder import load_encoder
    from codesign.forward import EncoderForward, input_names

    bert = load_encoder(checkpoint, attention=ATTENTION[form])  # type: ignore[arg-type]
    arrays = load_arrays(inputs)
    example = {name: torch.from_numpy(arrays[name]) for name in input_names(bert.config)}
    {"onnx": _onnx, "openvino": _openvino}[form](EncoderForward(bert), example, Path(directory) / FILES[form])


def _onnx(model, example, path: Path) -> None:  # type: ignore[no-untyped-def]  # torch is imported by main alone
    import torch

    names, tensors = list(example), tuple(example.values())
    # the older exporter: the newer one writes only operators that DeepSparse does not read
    torch.onnx.export(model, tensors, path, dynamo=False, opset_version=OPSET, input_names=names, output_names=[OUTPUT])


def _openvino(model, example, path: Path) -> None:  # type: ignore[no-untyped-def]
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # the import then fails: nothing is sent
    import openvino

    shapes = [openvino.PartialShape(tensor.shape) for tensor in example.values()]  # static shapes are planned ahead
    converted = openvino.convert_model(model, example_input=tuple(example.values()), input=shapes)
    for place, name in zip((*converted.inputs, *converted.outputs), (*example, OUTPUT), strict=True):
        place.get_tensor().set_names({name})
    openvino.save_model(converted, path, compress_to_fp16=False)  # the default would round the weights


if __name__ == "__main__":
    main(*sys.argv[1:])
