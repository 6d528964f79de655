"""Turn a checkpoint into what other engines read: ``python -m codesign.engines.convert`` with the fields of `main`.

A process of its own, so that neither PyTorch's memory nor its threads stay in the worker of the engine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from codesign.engines import quantize
from codesign.engines.base import OUTPUT, load_arrays
from codesign.engines.quantize import Inputs

#: How the encoder is written for each format: ONNX has no fused attention that every engine reads.
ATTENTION = {"onnx": "eager", "openvino": "sdpa", "torch-int8": "sdpa"}
#: The newest operators that DeepSparse reads.
OPSET = 14


class Form(NamedTuple):
    """One way to write an encoder."""

    file: str
    """Its file in the directory of the converted encoder."""
    make: Callable[[Path, Path, Inputs, list[Inputs]], None]
    """Make that file of another; then the inputs, whose shapes become static, and more of them to calibrate on."""
    source: str | None = None
    """The form that it is made from; None is the checkpoint."""


def main(form: str, source: str, directory: str, inputs: str, calibration: str | None = None) -> None:
    """Convert.

    Parameters
    ----------
    form
        Key of `FORMS`.
    source
        Directory of the encoder in the form that this one is made from.
    directory
        Where to write; it exists.
    inputs
        File (.npz) with the encoder's inputs by name; their shapes become static.
    calibration
        File (.npz) with other inputs, as many rows as a multiple of the batch; only int8 needs them.
    """
    made, given = FORMS[form], load_arrays(inputs)
    start = Path(source, FORMS[made.source].file) if made.source else Path(source)
    examples = load_arrays(calibration) if calibration else {name: array[:0] for name, array in given.items()}
    batch, rows = (len(next(iter(arrays.values()))) for arrays in (given, examples))
    firsts = range(0, rows, batch)
    batches = [{name: array[first : first + batch] for name, array in examples.items()} for first in firsts]
    made.make(start, Path(directory, made.file), given, batches)


def _encoder(form: str, checkpoint: Path, given: Inputs) -> tuple[Any, dict[str, Any]]:
    """Load the encoder; return it with its inputs, tensors by name in the order in which it takes them."""
    import torch

    from codesign.encoder import load_encoder
    from codesign.forward import EncoderForward, input_names

    bert = load_encoder(str(checkpoint), attention=ATTENTION[form])  # type: ignore[arg-type]
    return EncoderForward(bert), {name: torch.from_numpy(given[name]) for name in input_names(bert.config)}


def _onnx(checkpoint: Path, path: Path, given: Inputs, _: list[Inputs]) -> None:
    import torch

    model, example = _encoder("onnx", checkpoint, given)
    names, tensors = list(example), tuple(example.values())
    # the older exporter: the newer one writes only operators that DeepSparse does not read
    torch.onnx.export(model, tensors, path, dynamo=False, opset_version=OPSET, input_names=names, output_names=[OUTPUT])


def _openvino(checkpoint: Path, path: Path, given: Inputs, _: list[Inputs]) -> None:
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # the import then fails: nothing is sent
    import openvino

    model, example = _encoder("openvino", checkpoint, given)
    shapes = [openvino.PartialShape(tensor.shape) for tensor in example.values()]  # static shapes are planned ahead
    converted = openvino.convert_model(model, example_input=tuple(example.values()), input=shapes)
    for place, name in zip((*converted.inputs, *converted.outputs), (*example, OUTPUT), strict=True):
        place.get_tensor().set_names({name})
    openvino.save_model(converted, path, compress_to_fp16=False)  # the default would round the weights


def _torch_int8(checkpoint: Path, path: Path, given: Inputs, examples: list[Inputs]) -> None:
    model, example = _encoder("torch-int8", checkpoint, given)
    quantize.torch_static(model, list(example), path, given, examples)


FORMS = {
    "onnx": Form("model.onnx", _onnx),
    "onnx-int8": Form("model.onnx", quantize.onnx_static, "onnx"),
    # DeepSparse loses the axis of a bias that it must scale back
    "onnx-int8-weights": Form("model.onnx", partial(quantize.onnx_static, bias=False), "onnx"),
    "onnx-int8-dynamic": Form("model.onnx", quantize.onnx_dynamic, "onnx"),
    "openvino": Form("model.xml", _openvino),
    "openvino-int8": Form("model.xml", quantize.openvino_static, "openvino"),
    "torch-int8": Form("model.pt2", _torch_int8),
}


if __name__ == "__main__":
    main(*sys.argv[1:])
