"""What an engine is: a name, and a way to turn a job into a call from named inputs to named outputs."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from codesign.errors import InputError

#: Arrays by name. Inputs are named as the model names them (`codesign.forward`): int64[batch, seq] for an encoder.
Arrays = Mapping[str, np.ndarray]
#: The one output of an encoder, float32[batch, seq, hidden].
OUTPUT = "last_hidden_state"


def load_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Read arrays by name from a file (.npz), in its order."""
    with np.load(path) as arrays:
        return dict(arrays)


def _of_encoder(output: np.ndarray) -> Arrays:
    return {OUTPUT: output}


@dataclass(frozen=True)
class Call:
    """A loaded model with its inputs, which lie where the engine wants them: only `run` is timed.

    What is written later into the arrays that the engine was prepared with, the next run computes from.
    """

    run: Callable[[], Any]
    """Run the model once; return what the engine makes of it."""

    outputs: Callable[[Any], Arrays] = _of_encoder
    """Name what `run` returned: all outputs of the model, float32. As it is, the array that an encoder returns."""

    profile: Callable[[int], list[dict[str, list[int]]]] | None = None
    """For each of so many runs, kernel -> nanoseconds of each of its calls; None where kernels cannot be told apart."""


class EngineError(RuntimeError):
    """The engine failed, or computed something wrong; the message says how."""


class Refused(EngineError):
    """The engine works, but takes no job like this one; the message is its own reason."""


@dataclass(frozen=True)
class Job:
    """One model on one engine, as plain values, so that it can be sent to a worker process.

    Parameters
    ----------
    engine
        Name in `codesign.engines.ENGINES`.
    checkpoint
        Directory of the (pruned) model.
    artifact
        Directory of the compiled or converted model, for engines that load one.
    inputs
        File (.npz) with the model's inputs by name, in the order in which it takes them.
    threads
        Number of threads, the same for every engine of a session.
    block
        Block shape the model was pruned in, for engines that store blocks; ``"dense"`` if it was not.
    calibration
        File (.npz) with other inputs by name, as many rows as a multiple of the batch, for engines that take the ranges
        of activations from examples.
    """

    engine: str
    checkpoint: str
    artifact: str | None
    inputs: str
    threads: int
    block: str = "dense"
    calibration: str | None = None

    def require_artifact(self) -> Path:
        """Directory of the compiled model; InputError when the job has none."""
        if self.artifact is None:
            raise InputError("artifact", None, f"a compiled encoder for {self.engine}: notebook 02_compile builds it")
        return Path(self.artifact)


class Engine(Protocol):
    """An engine in the settings with the lowest latency that it offers for its number format.

    Its module imports the engine's library inside `prepare` only: the process that measures imports none of them.
    """

    name: str
    """Name in records and on the command line."""

    package: str
    """The Python package that it needs."""

    format: str = "fp32"
    """Number format that it computes in; what it returns is float32."""

    reads: str | None = None
    """Form in `codesign.engines.convert` that it loads as the job's artefact; None if it needs no conversion."""

    python: str = sys.executable
    """Interpreter of its worker."""

    def unavailable(self) -> str | None:
        """Why this engine cannot run here, or None."""
        found = importlib.util.find_spec(self.package)
        return None if found else f"the Python package {self.package!r} is not installed"

    def prepare(self, job: Job, inputs: Arrays) -> Call:
        """Load or compile the model, and put its inputs where it wants them; called in a worker process of its own.

        The arrays stay: an engine may read them at each run, and one that copies them does so at each run.

        Raises
        ------
        Refused
            When the engine has no way to run this job.
        """

    def settings(self, job: Job) -> dict[str, object]:
        """How the engine is set, for the record."""
