"""The measuring side of a worker process: starts it, asks it, and says clearly when it has died."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, Self

import numpy as np

from codesign import machine
from codesign.engines import find
from codesign.engines.base import Arrays, EngineError, Job, Refused, load_arrays
from codesign.engines.conversions import Conversions

_TAIL_LINES = 20
#: Folder of this package, so that a worker runs this code in whatever environment its interpreter belongs to.
_LIBRARY = Path(__file__).parents[2]


class WorkerDied(EngineError):
    """The worker process is gone; the message ends with the last lines it wrote to stderr."""


def max_abs_error(outputs: Arrays, expected: Path) -> float:
    """Largest difference of outputs from those of the same name in a file (.npz).

    Raises
    ------
    EngineError
        When there are others, or others in shape, or one has a value that is not finite.
    """
    right = load_arrays(expected)
    shapes, wanted = ({name: array.shape for name, array in arrays.items()} for arrays in (outputs, right))
    if shapes != wanted or not all(np.isfinite(array).all() for array in outputs.values()):
        raise EngineError(f"the outputs have shapes {shapes} or values that are not finite, expected {wanted}")
    return max(float(np.abs(array.astype(np.float64) - right[name]).max()) for name, array in outputs.items())


def cosine(outputs: Arrays, expected: Path, inputs: Path) -> float:
    """Cosine of the angle between outputs of real tokens and those in a file (.npz), a side taken as one vector.

    Rows of padding mean nothing, and some hang by a thread: of MiniLM on a sentence, 54 of 113 turn away when PyTorch's
    own weights are rounded to 7 bits, all else in float32, while real tokens stay at 0.9988.
    """
    right, real = load_arrays(expected), load_arrays(inputs)["attention_mask"].astype(bool)
    a, b = (
        np.concatenate([each[name][real].ravel() for name in right]).astype(np.float64) for each in (outputs, right)
    )
    return float(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1))  # rounding may exceed one


class Process:
    """A process that answers requests (`codesign.engines.worker.serve`) on as many CPUs as it has threads.

    Parameters
    ----------
    name
        What errors call it.
    python, module
        Interpreter, and the module that it runs.
    threads
        Number of threads, the main one included.
    cpus
        Where it runs, if not on the first CPUs of this machine.
    """

    def __init__(self, name: str, python: str, module: str, threads: int, cpus: Collection[int] | None = None) -> None:
        cpus = machine.cpus(threads) if cpus is None else cpus
        self.name = name
        self._directory = tempfile.TemporaryDirectory(prefix="codesign-worker-")
        # A file, unlike a pipe, is never full and can be read after a death.
        self._stderr = tempfile.TemporaryFile(dir=self._directory.name)  # noqa: SIM115  # closed by `close`
        path = os.pathsep.join(filter(None, [str(_LIBRARY), os.environ.get("PYTHONPATH")]))
        self._environment = {
            **os.environ,
            **{"PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},  # checkpoints are local
            **machine.thread_environment(threads),
        }
        self._process = subprocess.Popen(
            [python, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=self._environment,
            text=True,
        )
        os.sched_setaffinity(self._process.pid, cpus)  # before any library there has started its threads

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

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
            kind, verb = (Refused, "refused to") if answer["refused"] else (EngineError, "could not")
            raise kind(f"{self.name} {verb} {do}: {answer['error']}")
        return answer

    def _obituary(self, do: str) -> str:
        code = self._process.wait()
        cause = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
        tail = "\n".join(lines) or "(nothing)"
        return f"the worker of {self.name} died while asked to {do} ({cause}); its last words on stderr:\n{tail}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Worker(Process):
    """A process that runs one engine with the threads and the CPUs that its job asks for.

    Parameters
    ----------
    job
        What to run. Nothing is loaded before `prepare`.
    cpus
        As in `Process`.
    """

    def __init__(self, job: Job, cpus: Collection[int] | None = None) -> None:
        super().__init__(job.engine, find(job.engine).python, "codesign.engines.worker", job.threads, cpus)
        self.job = job

    def prepare(self, conversions: Conversions | None = None) -> dict[str, Any]:
        """Convert the encoder to what the engine reads, and load it.

        Parameters
        ----------
        conversions
            Of a session, where engines that read the same share it.

        Returns
        -------
        dict[str, Any]
            ``seconds`` that loading took, ``disk_bytes`` of what was loaded and the engine's ``settings``.

        Raises
        ------
        Refused
            When the engine takes no job like this one.
        EngineError
            When it, or the conversion, fails otherwise: as a `WorkerDied` when it took the process with it. Any other
            request raises these as well.
        """
        converted, job = find(self.job.engine).reads is not None, self.job
        conversions = conversions or Conversions(Path(self._directory.name), [job])
        try:
            if converted:
                self.job = dataclasses.replace(job, artifact=str(conversions.get(job, self._environment)))
            start = time.perf_counter()
            answer = self._ask("prepare", job=dataclasses.asdict(self.job))
            answer["seconds"] = time.perf_counter() - start
            loaded = Path(self.job.artifact or self.job.checkpoint)
            answer["disk_bytes"] = sum(file.stat().st_size for file in loaded.rglob("*") if file.is_file())
            return answer
        finally:
            conversions.done(job)  # it is in memory

    def output(self) -> tuple[Arrays, dict[str, int]]:
        """Call once; return the outputs by name, and ``call_ns`` with ``peak_rss_bytes``, the most until then."""
        path = str(Path(self._directory.name) / "outputs.npz")
        about = self._ask("output", path=path)
        return load_arrays(path), about

    def evaluate(self, inputs: Path) -> Arrays:
        """Run each row of a file (.npz) of inputs by name as a batch of one.

        One at a time, as a user's sentences come: what dynamic quantisation makes of one depends on its batch.

        Returns
        -------
        Arrays
            The outputs by name, float32[rows, ...], those at masked positions included.
        """
        path = str(Path(self._directory.name) / "evaluated.npz")
        self._ask("evaluate", inputs=str(inputs), path=path)
        return load_arrays(path)

    def run(self, *, calls: int, discard: int) -> tuple[list[int], list[int]]:
        """Make `discard` calls and then `calls` more; return the times of these and of those, in ns."""
        answer = self._ask("run", calls=calls, discard=discard)
        return answer["samples_ns"], answer["discarded_ns"]

    def profile(self, *, runs: int, discard: int) -> list[dict[str, list[int]]]:
        """Make ``discard`` calls and then ``runs`` more; return, for each of these, kernel -> ns of each of its calls.

        Raises
        ------
        Refused
            When the engine cannot look at its kernels; only our compiled ones can.
        """
        found: list[dict[str, list[int]]] = self._ask("profile", runs=runs, discard=discard)["profile"]
        return found
