"""Every TVM internal this package leans on, in one place.

TVM moves fast. When it moves again, this is the file to read first; nothing else in `codesign` imports
``tvm.s_tir`` or ``tvm.tirx`` directly.
"""

# ruff: noqa: E402, F401

from __future__ import annotations

import os
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager

# A TuneContext imports every tensor intrinsic that TVM knows, and parsing the CUDA, ROCm, Arm, Hexagon, RISC-V and
# Metal ones takes 15 s in each process. Empty modules stand in for those that no x86 CPU can use.
for _name in ("arm_cpu", "cuda", "hexagon", "metal", "riscv_cpu", "rocm"):
    _qualified = f"tvm.s_tir.tensor_intrin.{_name}"
    sys.modules.setdefault(_qualified, types.ModuleType(_qualified))

import tvm
import tvm.tirx.script.builder as T  # noqa: N812
from tvm import relax, te, tirx
from tvm.ir.utils import derived_object
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.meta_schedule.builder import BuilderResult, PyBuilder
from tvm.s_tir.meta_schedule.measure_callback import PyMeasureCallback
from tvm.s_tir.meta_schedule.runner import PyRunner, RunnerFuture, RunnerResult
from tvm.s_tir.meta_schedule.search_strategy import MeasureCandidate, PySearchStrategy
from tvm.script.ir_builder import IRBuilder
from tvm.support.popen_pool import PopenPoolExecutor, PopenWorker
from tvm_ffi import structural_hash


@contextmanager
def silenced() -> Iterator[None]:
    """Drop what TVM's C++ writes: warnings about its own operators, a table and two sums after every batch.

    It has no switch for these. What Python writes to standard error still arrives.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    python, saved, nothing = sys.stderr, [os.dup(number) for number in (1, 2)], os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nothing, number)
    with os.fdopen(os.dup(saved[1]), "w", buffering=1) as terminal:
        if python is sys.__stderr__:
            sys.stderr = terminal
        try:
            yield
        finally:
            sys.stderr = python
            for number, kept in zip((1, 2), saved, strict=True):
                os.dup2(kept, number)
                os.close(kept)
            os.close(nothing)
