"""What an engine is: a name, and a way to turn a job into a call that runs the encoder once."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from codesign.errors import InputError

#: Runs the encoder once on the job's inputs; returns last_hidden_state, float32[batch, seq, hidden].
Call = Callable[[], np.ndarray]


@runtime_checkable
class Profiled(Protocol):
    """A call that can tell its kernels apart."""

    def __call__(self) -> np.ndarray:
        """Run the encoder once."""

    def profile(self, runs: int) -> list[dict[str, list[int]]]:
        """For each run: kernel -> nanoseconds of each of its calls."""


class Refused(RuntimeError):
    """The engine works, but takes no job like this one; the message is its own reason."""


@dataclass(frozen=True)
class Job:
    """One encoder on one engine, as plain values, so that it can be sent to a worker process.

    Parameters
    ----------
    engine
        Name in `codesign.engines.ENGINES`.
    checkpoint
        Directory of the (pruned) encoder.
    artifact
        Directory of the compiled or converted encoder, for engines that load one.
    inputs
        File (.npz) with the encoder's inputs by name (`codesign.encoder.input_names`), int64[batch, seq].
    threads
        Number of threads, the same for every engine of a session.
    block
        Block shape the encoder was pruned in, for engines that store blocks; ``"dense"`` if it was not.
    """

    engine: str
    checkpoint: str
    artifact: str | None
    inputs: str
    threads: int
    block: str = "dense"

    def load_inputs(self) -> dict[str, np.ndarray]:
        """Return the inputs by name, int64[batch, seq], in the order of the file, which is the model's."""
        with np.load(self.inputs) as arrays:
            return dict(arrays)

    def require_artifact(self) -> str:
        """Directory of the compiled encoder; InputError when the job has none."""
        if self.artifact is None:
            raise InputError("artifact", None, f"a compiled encoder for {self.engine}: notebook 02_compile builds it")
        return self.artifact


class Engine(Protocol):
    """An engine in the settings with the lowest latency that it offers for its number type.

    Its module imports the engine's library inside `prepare` only: the process that measures imports none of them.
    """

    name: str
    """Name in records and on the command line."""

    format: str = "fp32"
    """Number type that it computes in; what it returns is float32."""

    reads: str | None = None
    """Format in `codesign.engines.convert` that it loads as the job's artefact; None if it needs no conversion."""

    python: str = sys.executable
    """Interpreter of its worker."""

    def unavailable(self) -> str | None:
        """Why this engine cannot run here, or None."""

    def prepare(self, job: Job) -> Call:
        """Load or compile the encoder; called in a worker process of its own.

        Raises
        ------
        Refused
            When the engine has no way to run this job.
        """

    def settings(self, job: Job) -> dict[str, object]:
        """How the engine is set, for the record."""


def missing(package: str) -> str | None:
    """Why an engine that needs `package` cannot run here, or None."""
    return None if importlib.util.find_spec(package) else f"the Python package {package!r} is not installed"
