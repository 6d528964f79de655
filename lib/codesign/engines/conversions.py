"""Converted encoders: each is made once, however many engines read it, and lies on disk only while one still may."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from codesign.engines import find
from codesign.engines.base import EngineError, Job
from codesign.engines.convert import FORMS


class Conversions:
    """The encoders of some jobs in the forms that their engines read.

    Parameters
    ----------
    directory
        Where they lie. It exists, and is removed by whoever made it.
    jobs
        All jobs that will ask: what none of them needs any more is removed at once.
    """

    def __init__(self, directory: Path, jobs: Iterable[Job]) -> None:
        self._directory = directory
        self._left = Counter(path for job in jobs for path in self._chain(job).values())
        self._locks = {path: threading.Lock() for path in self._left}

    def get(self, job: Job, environment: Mapping[str, str]) -> Path:
        """Return the directory of what the job's engine reads, which is made when it is asked for first.

        Parameters
        ----------
        job
            One of those that were announced.
        environment
            Of the process that converts.

        Raises
        ------
        EngineError
            When the conversion fails.
        """
        source = Path(job.checkpoint)
        for form, path in self._chain(job).items():
            with self._locks[path]:
                if not path.exists():
                    _convert(job, form, source, path, environment)
            source = path
        return source

    def done(self, job: Job) -> None:
        """Say that a job has loaded what it reads, or never will."""
        for path in self._chain(job).values():
            with self._locks[path]:
                self._left[path] -= 1
                if not self._left[path]:
                    shutil.rmtree(path, ignore_errors=True)

    def _chain(self, job: Job) -> dict[str, Path]:
        """Form -> directory of each step from the checkpoint to what the engine reads."""
        forms, form = list[str](), find(job.engine).reads
        while form is not None:
            forms.insert(0, form)
            form = FORMS[form].source
        digest = hashlib.sha256("\n".join((job.checkpoint, job.inputs, str(job.calibration))).encode()).hexdigest()
        return {form: self._directory / f"{form}-{digest[:16]}" for form in forms}


def _convert(job: Job, form: str, source: Path, path: Path, environment: Mapping[str, str]) -> None:
    """Convert in a process of its own: neither PyTorch's memory nor its threads stay with an engine."""
    path.mkdir()
    command = [sys.executable, "-m", "codesign.engines.convert", form, str(source), str(path), job.inputs]
    command += [job.calibration] if job.calibration else []
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace")
    if done.returncode:
        shutil.rmtree(path)
        last = next(iter(done.stderr.splitlines()[-1:]), f"exit code {done.returncode}")
        raise EngineError(f"{job.engine} could not convert: {last}")
