"""What an engine is: a name, and a way to turn a job into a call that runs the encoder once."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from codesign.errors import InputError

#: Runs the encoder once on the job's inputs; returns last_hidden_state, float32[batch, seq, hidden].
Call = Callable[[], np.ndarray]


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
        Directory of the compiled encoder, for engines that load one.
    inputs
        File (.npz) with ``input_ids`` and ``attention_mask``, int64[batch, seq].
    threads
        Number of threads, the same for every engine of a session.
    """

    engine: str
    checkpoint: str
    artifact: str | None
    inputs: str
    threads: int

    def load_inputs(self) -> tuple[np.ndarray, np.ndarray]:
        """Return ``input_ids`` and ``attention_mask``, int64[batch, seq]."""
        with np.load(self.inputs) as arrays:
            return arrays["input_ids"], arrays["attention_mask"]

    def require_artifact(self) -> str:
        """Directory of the compiled encoder; InputError when the job has none."""
        if self.artifact is None:
            raise InputError("artifact", None, f"a compiled encoder for {self.engine}: notebook 02_compile builds it")
        return self.artifact


class Engine(Protocol):
    """An engine in the settings with the lowest latency that it offers for float32.

    Its module imports the engine's library inside `prepare` only: the process that measures imports none of them.
    """

    @property
    def name(self) -> str:
        """Name in records and on the command line."""

    def unavailable(self) -> str | None:
        """Why this engine cannot run here, or None."""

    def prepare(self, job: Job) -> Call:
        """Load, convert or compile the encoder; called in a worker process of its own."""

    def settings(self, job: Job) -> dict[str, object]:
        """How the engine is set, for the record."""


def missing(package: str) -> str | None:
    """Why an engine that needs `package` cannot run here, or None."""
    return None if importlib.util.find_spec(package) else f"the Python package {package!r} is not installed"
