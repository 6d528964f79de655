"""Number formats of weights and activations, one file each: a new one is one more name in `FORMATS`."""

from __future__ import annotations

from codesign.compiler.formats.base import NumberFormat
from codesign.compiler.formats.fp32 import FP32
from codesign.compiler.formats.int8 import INT8

FORMATS = {each.name: each for each in (FP32, INT8)}

__all__ = ["FORMATS", "FP32", "INT8", "NumberFormat"]
