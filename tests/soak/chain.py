"""The chain that is killed and starved: the steps that the notebooks call, on a small encoder with the quick protocol.

A step runs in a process of its own, forked from one that has imported everything, so that little of its life is spent
on imports and most kills hit work. What it starts (compilers, tuners' workers, engines) it starts as always.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import cache
from multiprocessing.context import ForkProcess
from pathlib import Path

from codesign import machine
from codesign.records import LOCAL, Results, new_run_id
from codesign.study.artefacts import ensure_built
from codesign.study.chain import Study, open_study
from codesign.study.lowered import ensure_lowered
from codesign.study.points import Case, Point, sweep
from codesign.study.pruned import ensure_pruned
from codesign.study.sessions import compiled_cases, ensure_timed
from codesign.study.tuning import ensure_tuned

ENGINES = ("tvm-bsr",)
TRIALS = 2
PROFILE = "quick"


@cache
def points() -> list[Point]:
    """Return two block shapes of the tiny encoder."""
    return sweep("bert-tiny", 0, ["all"], "magnitude", ["4x1", "32x1"], 0.8, 1, 32, min(machine.describe().cores, 2))


@cache
def cases() -> list[Case]:
    """Return what is compiled."""
    return compiled_cases(points(), engines=ENGINES)


def _append(study: Study) -> None:
    """Append records one after the other; each is announced once it is said to be on disk."""
    done = study.results.root / "announced"
    for number in range(1, 10_000):
        study.append("machine", asdict(machine.describe()), {"cores": number, "machine_id": "appended"})
        with done.open("a", encoding="utf-8") as file:
            file.write(f"{number}\n")


#: Step -> what a notebook does in it; ``append`` only writes records, many a second, and never ends.
STEPS: Mapping[str, Callable[[Study], object]] = {
    "prune": lambda study: ensure_pruned(study, points()),
    "lower": lambda study: ensure_lowered(study, cases()),
    "tune": lambda study: ensure_tuned(study, cases(), TRIALS),
    "build": lambda study: ensure_built(study, cases()),
    "time": lambda study: ensure_timed(study, points(), engines=ENGINES),
    "append": _append,
}


@contextlib.contextmanager
def running(step: str, workspace: Path, largest_file: int | None = None) -> Iterator[ForkProcess]:
    """Start a step in a process group of its own, which ends with the block where that does not end by itself.

    It may write files of ``largest_file`` bytes. What it says goes to `log_of`, its temporary files beside that.
    """
    workspace.mkdir(exist_ok=True)
    log_of(workspace).parent.mkdir(exist_ok=True)
    process = multiprocessing.get_context("fork").Process(target=_run, args=(step, workspace, largest_file))
    process.start()
    with contextlib.suppress(OSError):  # it did so itself, and may be gone already
        os.setpgid(process.pid, process.pid)
    try:
        yield process
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise


def _run(step: str, workspace: Path, largest_file: int | None) -> None:
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    log = os.open(log_of(workspace), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(log, stream)
    sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    tempfile.tempdir = str(log_of(workspace).parent)
    os.environ |= {"CODESIGN_WORKSPACE": str(workspace), "TMPDIR": tempfile.tempdir}
    STEPS[step](open_study(LOCAL, PROFILE))


def run(step: str, workspace: Path, largest_file: int | None = None) -> int:
    """Run a step undisturbed; return its exit code."""
    with running(step, workspace, largest_file) as process:
        process.join()
    return process.exitcode


def run_to_end(step: str, workspace: Path) -> None:
    """Run a step undisturbed.

    Raises
    ------
    RuntimeError
        With the end of its output, if it fails.
    """
    if code := run(step, workspace):
        raise RuntimeError(f"{step} ended with exit code {code}: {said(workspace)}")


def log_of(workspace: Path) -> Path:
    """Return the file of what the last step said."""
    return workspace.with_name(workspace.name + "-tmp") / "log"


def said(workspace: Path) -> str:
    """Return the end of what the last step said."""
    return log_of(workspace).read_text(encoding="utf-8", errors="replace")[-2000:]


def study_in(workspace: Path) -> Study:
    """Open the results of a workspace as its steps do."""
    results = Results(LOCAL, workspace / "results")
    return Study(results, PROFILE, new_run_id(), machine.describe().machine_id, workspace / "build")
