"""The engines that are compared, one a file, each run in a worker process of its own.

A new engine is a file with a subclass of `codesign.engines.base.Engine`, and a line here.
"""

from __future__ import annotations

from codesign.engines.base import Engine, EngineError, Job, Refused
from codesign.engines.deepsparse import DeepSparse
from codesign.engines.onnxruntime import ONNXRuntime
from codesign.engines.openvino import OpenVINO
from codesign.engines.torch_bf16 import TorchBF16
from codesign.engines.torch_bsr import TorchBSR
from codesign.engines.torch_compile import TorchCompile
from codesign.engines.torch_eager import TorchEager
from codesign.engines.torch_int8 import TorchInt8
from codesign.engines.tvm import TVM
from codesign.errors import one_of

_ALL: tuple[Engine, ...] = (
    TorchEager(),
    TorchCompile("torch-compile", "fp32"),
    TorchBF16(),
    TorchCompile("torch-compile-bf16", "bf16"),
    TorchInt8("torch-int8", "int8"),
    TorchBSR(),
    ONNXRuntime("onnxruntime", "fp32", "onnx"),
    ONNXRuntime("onnxruntime-int8", "int8", "onnx-int8"),
    ONNXRuntime("onnxruntime-int8-dynamic", "int8", "onnx-int8-dynamic"),
    OpenVINO("openvino", "fp32"),
    OpenVINO("openvino-bf16", "bf16"),
    OpenVINO("openvino-int8", "int8"),
    OpenVINO("openvino-int8-sparse", "int8", sparse=True),
    DeepSparse("deepsparse", "fp32", "onnx"),
    DeepSparse("deepsparse-int8", "int8", "onnx-int8-weights"),
    TVM("tvm-stock-default"),  # dense, TVM's default pipeline
    TVM("tvm-stock-tuned"),  # dense, TVM's own rules tuned
    TVM("tvm-dense"),  # our pipeline at density 1.0
    TVM("tvm-bsr"),  # our pipeline with BSR operators
    TVM("tvm-dense-int8", "int8"),  # the same two with linears in int8
    TVM("tvm-bsr-int8", "int8"),
    TVM("tvm-dense-whole"),  # and in float32 with blocks stored whole, not in strips of a few rows
    TVM("tvm-bsr-whole"),
    TVM("tvm-dense-token-major"),  # and with token-major activations
    TVM("tvm-bsr-token-major"),
)
ENGINES: dict[str, Engine] = {engine.name: engine for engine in _ALL}

#: Engines that may leave zeros out. To all others pruned weights are like any others: one block shape stands for all.
SPARSE = (
    *("tvm-bsr", "tvm-bsr-int8", "tvm-bsr-whole", "tvm-bsr-token-major"),
    *("deepsparse", "deepsparse-int8", "torch-bsr", "openvino-int8-sparse"),
)

#: Ways to lay out an encoder: blocks stored whole; in strips, as everywhere in the book; and with token-major
#: activations.
WHOLE, STRIPS, TOKEN_MAJOR = "whole blocks", "strips", "token-major"
#: Our engines, dense and sparse, by layout.
LAYOUTS = {
    WHOLE: ("tvm-dense-whole", "tvm-bsr-whole"),
    STRIPS: ("tvm-dense", "tvm-bsr"),
    TOKEN_MAJOR: ("tvm-dense-token-major", "tvm-bsr-token-major"),
}
#: Our engines, dense and sparse, by number format.
FORMATS = {"fp32": LAYOUTS[STRIPS], "int8": ("tvm-dense-int8", "tvm-bsr-int8")}

__all__ = [
    "ENGINES", "FORMATS", "LAYOUTS", "SPARSE", "STRIPS", "TOKEN_MAJOR", "WHOLE", "Engine", "EngineError", "Job",
    "Refused", "find",
]  # fmt: skip


def find(name: str) -> Engine:
    """Return the engine called `name`; InputError names the nearest one when there is none."""
    return ENGINES[one_of("engine", name, ENGINES)]
