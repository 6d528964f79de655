"""What happens to one candidate, in worker processes: build it, check its result, time it.

A candidate may crash or hang; it takes its worker along and the pool starts another. Workers live for the whole tuning
run (TVM's own builder starts new ones for every batch, 20 s each).
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from codesign.compiler.database import TRIAL_SAMPLES
from codesign.compiler.operators import Linear, RowBalanced, operator_from, operator_of
from codesign.compiler.space import expand
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import (
    BuilderResult,
    PyBuilder,
    PyRunner,
    PyRunnerFuture,
    RunnerResult,
    derived_object,
    tvm,
)
from codesign.compiler.workers import builders, runner

#: Marks a directory as one trial's own, which may be deleted.
MARKER = ".codesign-trial"
#: Relative to the largest output: float32 sums of 3072 terms in another order differ by less.
TOLERANCE = 1e-4
#: Weights are rotated through this much memory, as much as an inference of an encoder reads: as in one, they are cold.
#: Where a last-level cache holds more than that, they come from it, not from memory.
COLD_BYTES = 64 << 20
_MOST_COPIES = 256
#: Which arguments of a linear layer are its weights: data and indices.
WEIGHTS = slice(1, 3)


def build_candidate(module: tvm.IRModule, spec: TargetSpec, directory: str) -> str:
    """Compile a scheduled task into ``directory``; returns the library's path."""
    operator = operator_of(module["main"])
    if operator is None or not operator.by_families:
        from tvm.s_tir.transform import RemoveWeightLayoutRewriteBlock

        module = RemoveWeightLayoutRewriteBlock(skip_tensor_rewrite=True)(module)
    path = Path(tempfile.mkdtemp(dir=directory))
    (path / MARKER).touch()
    (path / "operator.json").write_text("null" if operator is None else operator.attributes())
    library = path / "kernel.so"
    tvm.compile(expand(module, spec), target=spec.target).export_library(str(library))
    return str(library)


def discard(library: str, directory: str) -> None:
    """Delete a trial's directory. TVM's own clean-up deletes whatever directory the artefact lies in, /tmp included.

    Raises
    ------
    ValueError
        If the library does not lie in a trial of ours below ``directory``.
    """
    trial = Path(library).resolve().parent
    if trial.parent != Path(directory).resolve() or not (trial / MARKER).is_file():
        raise ValueError(f"{trial} is not a trial below {directory}: not deleted")
    shutil.rmtree(trial)


def argument_sets(inputs: list[np.ndarray], copies: int) -> list[list[Any]]:
    """Inputs as tensors, with weights of their own in each of ``copies`` sets.

    In an inference the activations are warm and the weights are not, so only the weights of a linear are copied.
    """
    shared = [tvm.runtime.tensor(array) for array in inputs]
    weights = [[tvm.runtime.tensor(array) for array in inputs[WEIGHTS]] for _ in range(copies)]
    return [[*shared[: WEIGHTS.start], *each, *shared[WEIGHTS.stop :]] for each in weights]


def checked(function: Any, arguments: list[Any], expected: np.ndarray) -> tuple[Any, float]:
    """Call a kernel; return its output and how far that is off.

    Raises
    ------
    ArithmeticError
        If the result is wrong; its timing then never counts.
    """
    out = tvm.runtime.tensor(np.full(expected.shape, np.nan, np.float32))
    function(*arguments, out)
    error = float(np.abs(out.numpy() - expected).max())
    if not error <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise ArithmeticError(f"wrong result: off by {error:.2e}")
    return out, error


@lru_cache(maxsize=1)  # for the next candidate of the same task
def _case(attributes: str) -> tuple[list[list[Any]], np.ndarray]:
    """Sets of inputs and the expected output of an operator."""
    operator = operator_from(attributes)
    inputs, copies = operator.example_inputs(np.random.default_rng(0)), 1
    if isinstance(operator, Linear | RowBalanced):
        copies += min(COLD_BYTES // sum(array.nbytes for array in inputs[WEIGHTS]), _MOST_COPIES)
    return argument_sets(inputs, copies), operator.oracle(*inputs)


def run_candidate(library: str, arguments: list[tuple[str, tuple[int, ...]]]) -> list[float]:
    """Check and time a built candidate on the calling process.

    Parameters
    ----------
    library
        From `build_candidate`.
    arguments
        (dtype, shape) of each argument; used for TVM's own tasks, whose results are not checked.

    Returns
    -------
    list[float]
        Seconds a call, one value a repeat.

    Raises
    ------
    ArithmeticError
        If the result is wrong.
    """
    attributes = (Path(library).parent / "operator.json").read_text()
    module = tvm.runtime.load_module(library)
    if attributes == "null":
        tensors = [tvm.runtime.tensor(_fill(dtype, shape)) for dtype, shape in arguments]
        module["main"](*tensors)
        evaluator = module.time_evaluator("main", tvm.cpu(), number=1, repeat=TRIAL_SAMPLES, min_repeat_ms=5)
        return [float(seconds) for seconds in evaluator(*tensors).results]
    sets, expected = _case(attributes)
    function = module["main"]
    out, _ = checked(function, sets[0], expected)
    return [_time(function, sets, out) for _ in range(TRIAL_SAMPLES)]


def _time(function: Any, sets: list[list[Any]], out: Any) -> float:
    """Seconds a call, going through the sets of arguments for at least 5 ms."""
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < 5e-3:
        for arguments in sets:
            function(*arguments, out)
        calls += len(sets)
    return (time.perf_counter() - start) / calls


def _fill(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Plausible arguments for TVM's own tasks, whose runner would fill in random bits.

    Wide integers are indices, and zero is a valid row of any table. Narrow ones and booleans are conditions: with only
    one truth value, a candidate that skips a branch would look a hundred times faster than it is.
    """
    rng = np.random.default_rng(0)
    if dtype.startswith("float"):
        return np.asarray(rng.standard_normal(shape), dtype)
    return np.zeros(shape, dtype) if dtype.endswith(("32", "64")) else np.asarray(rng.integers(0, 2, shape), dtype)


def shapes_of(args_info: Any) -> list[tuple[str, tuple[int, ...]]]:
    """(dtype, shape) of the arguments that TVM describes."""
    return [(str(info.dtype), tuple(int(extent) for extent in info.shape)) for info in args_info]


@derived_object
class PooledBuilder(PyBuilder):
    """Builds in worker processes that stay."""

    def __init__(self, spec: TargetSpec, directory: Path, workers: int) -> None:
        super().__init__()
        self.spec, self.directory = spec, directory
        self.pool = builders(workers)

    def build(self, build_inputs: Any) -> list[BuilderResult]:
        futures = [self.pool.submit(build_candidate, item.mod, self.spec, str(self.directory)) for item in build_inputs]
        results = []
        for future in futures:
            try:
                results.append(BuilderResult(future.result(), None))
            except Exception as error:  # whatever a candidate does to its worker is that candidate's result
                results.append(BuilderResult(None, f"{type(error).__name__}: {error}"))
        return results


@derived_object
class CheckedRunner(PyRunner):
    """Runs candidates one at a time in a worker process that stays, and deletes their files."""

    def __init__(self, spec: TargetSpec, directory: Path, ran: Callable[[], None]) -> None:
        super().__init__()
        self.directory, self.ran = directory, ran
        self.pool = runner(spec.threads)

    def run(self, runner_inputs: Any) -> list[PyRunnerFuture]:
        return [_Done(self._run(item)) for item in runner_inputs]

    def _run(self, item: Any) -> RunnerResult:
        path = str(item.artifact_path)
        try:
            return RunnerResult(self.pool.submit(run_candidate, path, shapes_of(item.args_info)).result(), None)
        except Exception as error:
            return RunnerResult(None, f"{type(error).__name__}: {error}")
        finally:
            discard(path, str(self.directory))
            self.ran()


@derived_object
class _Done(PyRunnerFuture):
    def __init__(self, value: RunnerResult) -> None:
        super().__init__()
        self.value = value

    def done(self) -> bool:
        return True

    def result(self) -> RunnerResult:
        return self.value
