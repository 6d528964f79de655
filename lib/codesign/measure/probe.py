"""The process that looks at the machine: ``python -m codesign.measure.probe``, driven by `codesign.measure.company`.

It answers like a worker of an engine, with the same threads on the same CPUs:

=====================  ====================================================================================
``{"do": "prepare"}``  ``{}``: compiles two of the kernels that measure ceilings, some seconds
``{"do": "look"}``     ``{"between_cores": 110.5, "l2": 150.1}``: GB/s, some milliseconds
=====================  ====================================================================================

``between_cores`` is how fast cores pass data on, null for one thread; ``l2`` how fast the slowest core reads from its
own L2 while the others do the same, null where the size of an L2 is unknown. It imports TVM's runtime and no engine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np

from codesign.cores import place
from codesign.engines.worker import serve
from codesign.runtime import without_torch

_SAMPLES, _SAMPLE_S = 5, 2e-4  # of each kernel; the median of them bears an interrupt or two
_PATIENCE_S = 10.0
#: In a process of its own, as compiling starts threads; without PyTorch, which TVM would import for seconds.
_COMPILE = (
    "import sys, pathlib; sys.modules['torch'] = None; from codesign.compiler.ceilings import watch_kernels; "
    "watch_kernels(pathlib.Path(sys.argv[1]), int(sys.argv[2]))"
)


class _Kernel:
    """A compiled kernel with buffers of its own, called for about `_SAMPLE_S` at a time."""

    def __init__(self, library: Path, loops: list[int], work: int, shapes: list[list[int]]) -> None:
        with without_torch():
            import tvm.runtime

        self._call = tvm.runtime.load_module(str(library))["main"]
        self._buffers = [tvm.runtime.tensor(np.ones(shape, np.float32)) for shape in shapes]
        self._tensor, self._loops, self._work, self._passes = tvm.runtime.tensor, loops, work, 0
        self._lengthen(1)
        while self.rate() * 1e9 * _SAMPLE_S > self._passes * work:
            self._lengthen(2 * self._passes)

    def rate(self) -> float:
        """GB/s in one sample."""
        start = time.perf_counter()
        self._call(self._count, *self._buffers)
        return self._passes * self._work / (time.perf_counter() - start) / 1e9

    def median(self) -> float:
        """Median rate of some samples, after one that warms the caches."""
        return round(statistics.median([self.rate() for _ in range(1 + _SAMPLES)][1:]), 1)

    def _lengthen(self, passes: int) -> None:
        self._passes = passes
        self._count = self._tensor(np.array([passes * self._loops[0], *self._loops[1:]], np.int32))


class _Probe:
    def __init__(self) -> None:
        self._cpus = sorted(os.sched_getaffinity(0))
        self._others = ThreadPoolExecutor(len(self._cpus))
        self._between_cores: _Kernel | None = None
        self._l2: list[_Kernel] = []

    def prepare(self) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="codesign-probe-") as name:
            command = [sys.executable, "-c", _COMPILE, name, str(len(self._cpus))]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace")
            if done.returncode:
                raise RuntimeError(next(iter(done.stderr.splitlines()[-1:]), f"exit code {done.returncode}"))
            self._load(Path(name))
        return {}

    def _load(self, directory: Path) -> None:
        plan = json.loads((directory / "plan.json").read_text())
        with without_torch():
            place(self._cpus, len(self._cpus))
        if "l2" in plan:
            self._l2 = [_Kernel(directory / "l2.so", **plan["l2"]) for _ in self._cpus]
        if "between_cores" in plan:
            self._between_cores = _Kernel(directory / "between_cores.so", **plan["between_cores"])

    def look(self) -> dict[str, Any]:
        # the caches first: TVM's threads spin for a while after a parallel kernel
        l2 = min(self._at_once()) if self._l2 else None
        return {"between_cores": self._between_cores and self._between_cores.median(), "l2": l2}

    def _at_once(self) -> list[float]:
        """Rate of every core while all of them read; TVM lets go of Python's lock during a call."""
        gate = Barrier(len(self._cpus))

        def share(kernel: _Kernel, cpu: int) -> float:
            os.sched_setaffinity(0, {cpu})  # this thread
            gate.wait(_PATIENCE_S)
            return kernel.median()

        first, *others = zip(self._l2, self._cpus, strict=True)
        futures = [self._others.submit(share, *each) for each in others]
        return [share(*first), *(future.result() for future in futures)]


if __name__ == "__main__":
    serve(_Probe())
