"""Words and order that every page, table and figure shares: one word for one thing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from codesign.blocks import BlockShape
from codesign.measure.ratios import Interval

TIMES = "\N{MULTIPLICATION SIGN}"


class _Labels(dict[str, str]):
    """Names for people; what has none of its own goes by its name in the records."""

    def __missing__(self, name: str) -> str:
        return name


ENGINE_LABELS = _Labels(
    {
        "torch-eager": "PyTorch eager",
        "torch-compile": "PyTorch compiled",
        "torch-compile-bf16": "PyTorch compiled, bfloat16",
        "torch-bf16": "PyTorch, bfloat16",
        "torch-int8": "PyTorch compiled, int8",
        "torch-bsr": "PyTorch, sparse",
        "onnxruntime": "ONNX Runtime",
        "onnxruntime-int8": "ONNX Runtime, int8",
        "onnxruntime-int8-dynamic": "ONNX Runtime, int8, dynamic",
        "openvino": "OpenVINO",
        "openvino-bf16": "OpenVINO, bfloat16",
        "openvino-int8": "OpenVINO, int8",
        "openvino-int8-sparse": "OpenVINO, int8, sparse weights packed",
        "deepsparse": "DeepSparse",
        "deepsparse-int8": "DeepSparse, int8",
        "tvm-stock-default": "TVM stock, untuned",
        "tvm-stock-tuned": "TVM stock, tuned",
        "tvm-dense": "our compiler, dense",
        "tvm-bsr": "our compiler, sparse",
        "tvm-dense-int8": "our compiler, dense, int8",
        "tvm-bsr-int8": "our compiler, sparse, int8",
        "tvm-dense-whole": "our compiler, dense, whole blocks",
        "tvm-bsr-whole": "our compiler, sparse, whole blocks",
        "tvm-dense-token-major": "our compiler, dense, token-major",
        "tvm-bsr-token-major": "our compiler, sparse, token-major",
    }
)
VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "sve": "SVE", "asimd": "NEON"}
SCOPE_LABELS = {
    "none": "Nothing pruned",
    "attention": "Attention weights pruned",
    "ffn": "Feed-forward weights pruned",
    "all": "All encoder weights pruned",
}


def cpu_label(machine: Mapping[str, Any]) -> str:
    """Name a machine in few words, where it has no name of its own by its CPU: ``"Intel Xeon (AVX-512)"``."""
    if machine.get("name"):
        return str(machine["name"])
    noise = r"\((R|TM)\)|@.*|\bCPU\b|\bProcessor\b|\b\d+-Core\b"
    name = " ".join(re.sub(noise, " ", machine["cpu"], flags=re.IGNORECASE).split())
    widest = vectors(machine)
    return f"{name} ({widest})" if widest else name


def vectors(machine: Mapping[str, Any]) -> str:
    """Name the widest vector instructions of a machine; nothing where they are not known."""
    return next((words for flag, words in VECTORS.items() if flag in machine["isa"]), "")


def shape_order(block: str) -> tuple[int, int, int]:
    """Sort key for block shapes: dense first, then columns of one, then wider ones, by rows."""
    if block == "dense":
        return (0, 0, 0)
    shape = BlockShape.parse(block)
    return (1 if shape.cols == 1 else 2, shape.rows if shape.cols == 1 else shape.area, shape.rows)


def times(ratio: Interval) -> str:
    """Format a ratio with its interval, to three significant digits where it is above one."""
    digits = 4 if ratio.value < 0.1 else 2 if ratio.value < 10 else 1 if ratio.value < 100 else 0
    return _spread(ratio, f",.{digits}f", TIMES)


def _spread(found: Interval, form: str, unit: str = "") -> str:
    """Format a value and the ends of its interval; what was counted has none, and is a value alone."""
    if found.low == found.value == found.high:
        return f"{found.value:{form}}{unit}"
    return f"{found.value:{form}}{unit} ({found.low:{form}} to {found.high:{form}})"


def three_digits(value: float) -> str:
    """Format to about three significant digits, without an exponent: ``9.41``, ``31.2``, ``24,366``."""
    return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f}"


def listed(words: Sequence[str]) -> str:
    """Join words as a sentence does: ``"a, b and c"``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""


def milliseconds(value: float) -> str:
    """Format a latency with three significant digits: ``9.41 ms``, ``31.2 ms``, ``24,366 ms``."""
    return f"{three_digits(value)} ms"


def error(value: float) -> str:
    """Format a largest absolute error: ``2e-6``."""
    return f"{value:.0e}".replace("e-0", "e-")


def percent(share: Interval, digits: int = 0) -> str:
    """Format a share with its interval: ``47% (45% to 49%)``."""
    return _spread(share, f".{digits}%")


def points(difference: Interval) -> str:
    """Format a difference of shares in percentage points: ``+1.2 (-0.3 to +2.7)``."""
    return _spread(Interval(*(100 * end for end in (difference.value, difference.low, difference.high))), "+.1f")


def correlation(r: Interval) -> str:
    """Format a correlation with its interval: ``0.823 (0.807 to 0.838)``."""
    return _spread(r, ".3f")
