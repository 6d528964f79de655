"""What happens to one candidate, in worker processes: build it, check its result, time it.

A candidate may crash or hang; it takes its worker along and the pool starts another (`codesign.compiler.workers`).
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from codesign.compiler.database import TRIAL_SAMPLES
from codesign.compiler.operators import Linear, Operator, RowBalanced, operator_from, operator_of
from codesign.compiler.space import expand
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import (
    BuilderResult,
    PyBuilder,
    PyRunner,
    RunnerFuture,
    RunnerResult,
    derived_object,
    ms,
    tvm,
)
from codesign.compiler.workers import Workshop, outcome

#: Weights are rotated through this much memory, as much as an inference of an encoder reads: as in one, they are cold.
#: Where a last-level cache holds more than that, they come from it, not from memory.
COLD_BYTES = 64 << 20
_MOST_COPIES = 256
_SAMPLE_S = 5e-3
#: Which arguments of a linear layer are its weights: data and indices.
WEIGHTS = slice(1, 3)


def build_candidate(module: tvm.IRModule, spec: TargetSpec, directory: str) -> str:
    """Compile a scheduled task into a folder of its own in ``directory``; returns the library's path.

    Beside it lies ``operator.json``: what it computes or, of TVM's own tasks, type and shape of each argument.
    """
    operator = operator_of(module["main"])
    if operator is None or not operator.by_families:
        from tvm.s_tir.transform import RemoveWeightLayoutRewriteBlock

        module = RemoveWeightLayoutRewriteBlock(skip_tensor_rewrite=True)(module)
    path = Path(tempfile.mkdtemp(dir=directory))
    arguments = ms.arg_info.ArgInfo.from_entry_func(module, remove_preproc=False)  # it fails where that was done
    shapes = json.dumps([(str(each.dtype), [int(extent) for extent in each.shape]) for each in arguments])
    (path / "operator.json").write_text(shapes if operator is None else operator.attributes())
    library = path / "kernel.so"
    tvm.compile(expand(module, spec), target=spec.target).export_library(str(library))
    return str(library)


def built_in(shop: Workshop, modules: Sequence[tvm.IRModule]) -> list[tuple[str | None, str | None]]:
    """Build scheduled tasks side by side: of each its library, or None and the reason."""
    calls = [shop.builders.submit(build_candidate, module, shop.spec, shop.folder) for module in modules]
    return [outcome(call) for call in calls]


@lru_cache(maxsize=16)  # a study takes turns among the block shapes of a matrix
def case(attributes: str, seed: int) -> tuple[Operator, list[np.ndarray], np.ndarray]:
    """An operator, inputs, and the output that it must give."""
    operator = operator_from(attributes)
    inputs = operator.example_inputs(np.random.default_rng(seed))
    return operator, inputs, operator.oracle(*inputs)


@lru_cache(maxsize=1)  # for the next candidate of the same task
def sets_of(attributes: str, seed: int, copies: int) -> list[list[Any]]:
    """The `argument_sets` of a `case`."""
    return argument_sets(case(attributes, seed)[1], copies)


def argument_sets(inputs: Sequence[np.ndarray], copies: int) -> list[list[Any]]:
    """Inputs as tensors, with weights of their own in each of ``copies`` sets.

    In an inference the activations are warm and the weights are not, so only the weights of a linear are copied.
    """
    shared = [tvm.runtime.tensor(array) for array in inputs]
    weights = [[tvm.runtime.tensor(array) for array in inputs[WEIGHTS]] for _ in range(copies)]
    return [[*shared[: WEIGHTS.start], *each, *shared[WEIGHTS.stop :]] for each in weights]


def weight_bytes(inputs: Sequence[np.ndarray]) -> int:
    """Size of the weights among the inputs of a linear."""
    return sum(array.nbytes for array in inputs[WEIGHTS])


def check(function: Any, arguments: list[Any], out: Any, expected: np.ndarray, tolerance: float) -> float:
    """Call a kernel; return how far its output, ``out``, is off.

    Raises
    ------
    ArithmeticError
        If the result is wrong; its timing then never counts.
    """
    unwritten = np.nan if out.dtype == "float32" else np.iinfo(str(out.dtype)).min
    out.copyfrom(np.full(expected.shape, unwritten, str(out.dtype)))
    function(*arguments, out)
    error = float(np.abs(out.numpy().astype(np.float64) - expected).max())
    if not error <= tolerance * max(1.0, float(np.abs(expected).max())):
        raise ArithmeticError(f"wrong result: off by {error:.2e}")
    return error


def run_candidate(library: str) -> list[float]:
    """Check and time a library of `build_candidate` in the calling process: seconds a call, one value a repeat.

    Results of TVM's own tasks are not checked.

    Raises
    ------
    ArithmeticError
        If the result is wrong.
    """
    attributes = (Path(library).parent / "operator.json").read_text()
    module = tvm.runtime.load_module(library)
    if attributes.startswith("["):
        tensors = [tvm.runtime.tensor(_fill(*argument)) for argument in json.loads(attributes)]
        module["main"](*tensors)
        evaluator = module.time_evaluator("main", tvm.cpu(), number=1, repeat=TRIAL_SAMPLES, min_repeat_ms=5)
        return [float(seconds) for seconds in evaluator(*tensors).results]
    (operator, inputs, expected), copies = case(attributes, 0), 1
    if isinstance(operator, Linear | RowBalanced):
        copies += min(COLD_BYTES // weight_bytes(inputs), _MOST_COPIES)
    function, sets = module["main"], sets_of(attributes, 0, copies)
    out = tvm.runtime.empty(expected.shape, operator.arguments()[-1].dtype)
    check(function, sets[0], out, expected, operator.tolerance)
    return [seconds_a_call(function, sets, out, _SAMPLE_S) for _ in range(TRIAL_SAMPLES)]


def seconds_a_call(function: Any, sets: Sequence[list[Any]], out: Any, least: float) -> float:
    """Seconds a call, going through the sets of arguments once, and again until ``least`` seconds are over."""
    calls, elapsed, start = 0, 0.0, time.perf_counter()
    while not calls or elapsed < least:
        for arguments in sets:
            function(*arguments, out)
        calls += len(sets)
        elapsed = time.perf_counter() - start
    return elapsed / calls


def _fill(dtype: str, shape: list[int]) -> np.ndarray:
    """Plausible arguments for TVM's own tasks, whose runner would fill in random bits.

    Wide integers are indices, and zero is a valid row of any table. Narrow ones and booleans are conditions: with only
    one truth value, a candidate that skips a branch would look a hundred times faster than it is.
    """
    rng = np.random.default_rng(0)
    if dtype.startswith("float"):
        return np.asarray(rng.standard_normal(shape), dtype)
    return np.zeros(shape, dtype) if dtype.endswith(("32", "64")) else np.asarray(rng.integers(0, 2, shape), dtype)


@derived_object
class PooledBuilder(PyBuilder):
    """Builds in the workers of a shop."""

    def __init__(self, shop: Workshop) -> None:
        super().__init__()
        self.shop = shop

    def build(self, build_inputs: Any) -> list[BuilderResult]:
        return [BuilderResult(*built) for built in built_in(self.shop, [item.mod for item in build_inputs])]


@derived_object
class CheckedRunner(PyRunner):
    """Runs candidates one at a time in the worker of a shop, and deletes their files."""

    def __init__(self, shop: Workshop, ran: Callable[[], None]) -> None:
        super().__init__()
        self.shop, self.ran = shop, ran

    def run(self, runner_inputs: Any) -> list[RunnerFuture]:
        return [self._run(str(item.artifact_path)) for item in runner_inputs]

    def _run(self, library: str) -> RunnerFuture:
        result = RunnerResult(*outcome(self.shop.runner.submit(run_candidate, library)))
        shutil.rmtree(Path(library).parent)
        self.ran()
        return RunnerFuture(lambda: True, lambda: result)
