"""The measuring side of a worker process: starts it, asks it, and says clearly when it has died."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from codesign import machine
from codesign.engines.base import Job

_TAIL_LINES = 20


class EngineError(RuntimeError):
    """The engine raised an exception; its worker lives on."""


class WorkerDied(RuntimeError):
    """The worker process is gone; the message ends with the last lines it wrote to stderr."""


class Worker:
    """A process that runs one engine with the threads and the CPUs that its job asks for.

    Parameters
    ----------
    job
        What to run. Nothing is loaded before `prepare`.
    """

    def __init__(self, job: Job) -> None:
        cpus = machine.cpus(job.threads)
        self.job = job
        self._directory = tempfile.TemporaryDirectory(prefix="codesign-worker-")
        # A file, unlike a pipe, is never full and can be read after a death.
        self._stderr = tempfile.TemporaryFile(dir=self._directory.name)  # noqa: SIM115  # closed by `close`
        environment = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}  # a checkpoint is a local directory
        self._process = subprocess.Popen(
            [sys.executable, "-m", "codesign.engines.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, **environment, **machine.thread_environment(job.threads)},
            text=True,
        )
        os.sched_setaffinity(self._process.pid, cpus)  # before any library there has started its threads

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    def prepare(self) -> dict[str, Any]:
        """Load the encoder; return ``seconds`` it took and the engine's ``settings``.

        Raises
        ------
        EngineError
            When the engine cannot run this job.
        WorkerDied
            When it took the process with it. Any other request raises these two as well.
        """
        return self._ask("prepare", job=dataclasses.asdict(self.job))

    def output(self) -> tuple[np.ndarray, int]:
        """Return the output of one call, float32[batch, seq, hidden], and how long the call took in ns."""
        path = Path(self._directory.name) / "output.npy"
        call_ns = self._ask("output", path=str(path))["call_ns"]
        return np.load(path), call_ns

    def run(self, *, calls: int, discard: int) -> tuple[list[int], list[int]]:
        """Make `discard` calls and then `calls` more; return the times of these and of those, in ns."""
        answer = self._ask("run", calls=calls, discard=discard)
        return answer["samples_ns"], answer["discarded_ns"]

    def close(self) -> None:
        """End the process, whatever it is doing: it has nothing to save, and an orderly exit takes a second."""
        with self._directory, self._stderr:
            self._process.kill()
            self._process.communicate()

    def _ask(self, do: str, **arguments: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps({"do": do, **arguments}), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerDied(self._obituary(do))
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise EngineError(f"{self.job.engine} could not {do}: {answer['error']}")
        return answer

    def _obituary(self, do: str) -> str:
        code = self._process.wait()
        cause = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
        tail = "\n".join(lines) or "(nothing)"
        return f"the worker of {self.job.engine} died while asked to {do} ({cause}); its last words on stderr:\n{tail}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
