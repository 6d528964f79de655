"""The chain that is killed and starved: the steps that the notebooks call, on a small encoder with the smoke protocol.

A step runs in a process of its own, forked from one that has imported everything, so that little of its life is spent
on imports and most kills hit work. What it starts (compilers, tuners' workers, engines) it starts as always.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path

from codesign import machine
from codesign.study.artefacts import ensure_built, ensure_lowered
from codesign.study.chain import Study, open_study
from codesign.study.points import Case, Point, sweep
from codesign.study.pruned import ensure_pruned
from codesign.study.sessions import compiled_cases, ensure_timed
from codesign.study.tuning import ensure_tuned

ENGINES = ("tvm-bsr",)
TRIALS = 2
PROFILE = "smoke"


@cache
def points() -> list[Point]:
    """Return two block shapes of the tiny encoder."""
    return sweep("bert-tiny", 0, ["all"], "magnitude", ["4x1", "32x1"], 0.8, 1, 32, min(machine.describe().cores, 2))


@cache
def cases() -> list[Case]:
    """What is compiled."""
    return compiled_cases(points(), engines=ENGINES)


def _append(study: Study) -> None:
    """Append records one after the other; each is announced once it is said to be on disk."""
    done = study.results.directory.parent / "announced"
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


def start(step: str, workspace: Path, largest_file: int | None = None) -> int:
    """Start a step in a process group of its own, which may write files of ``largest_file`` bytes; return its id.

    Its output goes to ``log`` in the workspace, its temporary files beside it. It exits with 0, with 130 after Ctrl-C,
    and with 1 after any other error.
    """
    scratch = workspace.with_name(workspace.name + "-tmp")
    scratch.mkdir(parents=True, exist_ok=True)
    workspace.mkdir(exist_ok=True)
    pid = os.fork()
    if pid:
        with contextlib.suppress(OSError):  # it did so itself, and may be gone already
            os.setpgid(pid, pid)
        return pid
    code = 1
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        log = os.open(scratch / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for stream, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
            os.dup2(file, stream)
        sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
        os.environ |= {"CODESIGN_WORKSPACE": str(workspace), "TMPDIR": str(scratch)}
        tempfile.tempdir = str(scratch)
        STEPS[step](open_study("local", PROFILE))
        code = 0
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait(pid: int) -> int:
    """Wait for a step; return its exit code. If this process is interrupted meanwhile, the step is ended, too."""
    with ending(pid):
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@contextlib.contextmanager
def ending(pid: int) -> Iterator[None]:
    """End the process group of a step where the block does not end by itself."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        raise


def log_of(workspace: Path) -> str:
    """Return what the steps of a workspace have said."""
    log = workspace.with_name(workspace.name + "-tmp") / "log"
    return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
