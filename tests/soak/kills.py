"""Real runs killed at random points and started again until done, then compared with one that nobody touched.

Half of the kills come at a time drawn evenly from what the step takes, half right after something has changed in the
workspace: between a file and its record is where things go wrong.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from tests.soak import chain, state
from tests.soak.tally import Tally

from codesign import machine

#: Most kills of a step in one round; a step that ends before its next kill is done.
KILLS = {"prune": 10, "lower": 8, "tune": 5, "build": 6, "time": 4}
#: Kills of what only appends records, in a round.
APPEND_KILLS = 12
#: Of ten kills: kill -9 of the run alone; Ctrl-C, which its whole process group gets; and a polite end of the run.
_SIGNALS = (*[signal.SIGKILL] * 7, *[signal.SIGINT] * 2, signal.SIGTERM)
#: After a kill, a run and what it started are given this long to go.
_PATIENCE_S = 60.0
_LOOK_S = 0.002


def one_round(seed: int) -> list[Tally]:
    """Kill every step of a chain, and compare what it comes to in the end: a tally for each step."""
    with machine.exclusive("soak: kills"), tempfile.TemporaryDirectory(prefix="codesign-kills-") as scratch:
        expected, seconds, _ = uninterrupted()
        rng = random.Random(seed)
        workspace = Path(scratch) / "workspace"
        tallies = [_step(rng, step, workspace, seconds[step]) for step in KILLS]
        state.compare(tallies[-1], expected, workspace)
        return [*tallies, append(rng, Path(scratch) / "records")]


@cache
def uninterrupted() -> tuple[dict[str, Any], dict[str, float], int]:
    """Run the chain once without a fault: what it comes to, how long each step takes, and the bytes on disk."""
    with tempfile.TemporaryDirectory(prefix="codesign-untouched-") as scratch:
        workspace, seconds = Path(scratch) / "workspace", {}
        for step in KILLS:
            begin = time.monotonic()
            chain.run_to_end(step, workspace)
            seconds[step] = time.monotonic() - begin
        size = sum(path.stat().st_size for path in workspace.rglob("*") if path.is_file())
        return state.end_state(chain.study_in(workspace)), seconds, size


def _step(rng: random.Random, step: str, workspace: Path, seconds: float) -> Tally:
    tally = Tally(step, "killed")
    for _ in range(KILLS[step]):
        before = state.finished(workspace)
        if (sent := _killed(rng, step, workspace, seconds, tally)) is None:
            break
        found = [*state.lost(before, state.finished(workspace)), *state.damage(workspace)]
        tally.lose(*(f"after {sent.name}: {text}" for text in found))
    try:
        chain.run_to_end(step, workspace)
    except RuntimeError as error:
        tally.lose(f"did not go on after the kills: {error}")
    return tally


def append(rng: random.Random, workspace: Path) -> Tally:
    """Kill what appends records: every one that was said to be on disk is there."""
    tally = Tally("append", "killed")
    for _ in range(APPEND_KILLS):
        if _killed(rng, "append", workspace, 0.5, tally) is None:
            tally.defects.append(f"appending ended by itself: {chain.said(workspace)}")
            break
        announced = workspace / "results" / "announced"
        numbers = {int(line) for line in announced.read_text().splitlines()} if announced.exists() else set()
        records = chain.study_in(workspace).results.read("machine", machine_id="appended")
        tally.settings["records"] += len(numbers)
        tally.lost += len(numbers - {record["cores"] for record in records})
        tally.defects += state.damage(workspace)
        shutil.rmtree(workspace)
    return tally


def _killed(rng: random.Random, step: str, workspace: Path, seconds: float, tally: Tally) -> signal.Signals | None:
    """End a step at a random point and count it; the signal that it got, or None where it was done before."""
    sent = rng.choice(_SIGNALS)
    by_event = rng.random() < 0.5
    within, events = rng.uniform(0, seconds), rng.randint(1, 8)
    with chain.running(step, workspace) as process:
        at = time.monotonic() + (2 * seconds if by_event else within)
        seen = _look(workspace)
        while time.monotonic() < at and events:
            if not process.is_alive():
                return None
            if by_event and (now := _look(workspace)) != seen:
                seen, events = now, events - 1
            time.sleep(_LOOK_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sent) if sent == signal.SIGINT else os.kill(process.pid, sent)
        deadline = time.monotonic() + _PATIENCE_S
        process.join(_PATIENCE_S)
        while (left := group(process.pid)) and time.monotonic() < deadline:
            time.sleep(10 * _LOOK_S)
        if left:
            tally.defects.append(f"{len(left)} processes still running {_PATIENCE_S:.0f} s after {sent.name}")
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
    if process.exitcode == 0:
        return None  # it was done before the signal came
    tally.count += 1
    tally.settings.update([sent.name, "right after a change" if by_event else "at a random time"])
    return sent


def _look(workspace: Path) -> set[tuple[str, int]]:
    """Every file with its size, those of a tuner's database and half-written ones included."""
    found = set()
    for folder, _, files in os.walk(workspace):
        for path in (os.path.join(folder, name) for name in files):
            with contextlib.suppress(OSError):  # gone since
                found.add((path, os.stat(path).st_size))
    return found


def group(leader: int) -> list[int]:
    """Return the processes of a group that still run; those that only wait to be reaped do not."""
    found = []
    for process in psutil.process_iter(["status"]):
        with contextlib.suppress(OSError):  # gone since
            if os.getpgid(process.pid) == leader and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found
