"""Every TVM internal this package leans on, in one place.

TVM moves fast. When it moves again, this is the file to read first; nothing else in `codesign` imports
``tvm.s_tir`` or ``tvm.tirx`` directly.
"""

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

import tvm  # noqa: E402
import tvm.tirx.script.builder as T  # noqa: E402, N812
from tvm import relax, te, tirx  # noqa: E402
from tvm.ir.utils import derived_object  # noqa: E402
from tvm.s_tir import Schedule  # noqa: E402
from tvm.s_tir import meta_schedule as ms  # noqa: E402
from tvm.s_tir.meta_schedule.builder import BuilderResult, PyBuilder  # noqa: E402
from tvm.s_tir.meta_schedule.measure_callback import PyMeasureCallback  # noqa: E402
from tvm.s_tir.meta_schedule.runner import PyRunner, PyRunnerFuture, RunnerResult  # noqa: E402
from tvm.s_tir.meta_schedule.search_strategy import MeasureCandidate, PySearchStrategy  # noqa: E402
from tvm.script.ir_builder import IRBuilder  # noqa: E402
from tvm.support.popen_pool import PopenPoolExecutor, PopenWorker  # noqa: E402
from tvm_ffi import structural_hash  # noqa: E402


@contextmanager
def silenced() -> Iterator[None]:
    """Drop what TVM's C++ writes to standard error: warnings about its own operators, a table after every batch.

    It has no switch for these. What Python writes still arrives.
    """
    sys.stderr.flush()
    python, saved, nothing = sys.stderr, os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    with os.fdopen(saved, "w", buffering=1) as terminal:
        if python is sys.__stderr__:
            sys.stderr = terminal
        try:
            yield
        finally:
            sys.stderr = python
            os.dup2(saved, 2)
            os.close(nothing)


__all__ = [
    "BuilderResult",
    "IRBuilder",
    "MeasureCandidate",
    "PopenPoolExecutor",
    "PopenWorker",
    "PyBuilder",
    "PyMeasureCallback",
    "PyRunner",
    "PyRunnerFuture",
    "PySearchStrategy",
    "RunnerResult",
    "Schedule",
    "T",
    "derived_object",
    "ms",
    "relax",
    "silenced",
    "structural_hash",
    "te",
    "tirx",
    "tvm",
]
