"""Real runs killed at random points and started again until done, then compared with one that nobody touched.

Half of the kills come at a time drawn evenly from what the step takes, half right after something has changed in the
workspace: between a file and its record is where things go wrong.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

from codesign import machine
from codesign.records import Results, new_run_id
from codesign.study.chain import Study
from codesign.study.determinism import first_difference
from codesign.study.soak import chain, state
from codesign.study.soak.tally import Tally

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
    """Kill every step of a chain, and compare what it comes to in the end.

    Returns
    -------
    list[Tally]
        One for each step.
    """
    with machine.exclusive("soak: kills"), tempfile.TemporaryDirectory(prefix="codesign-kills-") as scratch:
        expected, seconds, _ = uninterrupted()
        rng = random.Random(seed)
        workspace = Path(scratch) / "workspace"
        tallies = [_step(rng, step, workspace, seconds[step]) for step in KILLS]
        study = study_in(workspace)
        tallies[-1].wrong += state.wrong(study)
        if difference := first_difference(expected, state.end_state(study)):
            tallies[-1].lost += 1
            tallies[-1].defects.append(f"the end differs from that of an uninterrupted run: {difference}")
        return [*tallies, _append(rng, Path(scratch) / "records")]


@cache
def uninterrupted() -> tuple[dict[str, Any], dict[str, float], int]:
    """Run the chain once without a fault: what it comes to, how long each step takes, and the bytes on disk."""
    with tempfile.TemporaryDirectory(prefix="codesign-untouched-") as scratch:
        workspace, seconds = Path(scratch) / "workspace", {}
        for step in KILLS:
            begin = time.monotonic()
            run_to_end(step, workspace)
            seconds[step] = time.monotonic() - begin
        size = sum(path.stat().st_size for path in workspace.rglob("*") if path.is_file())
        return state.end_state(study_in(workspace)), seconds, size


def study_in(workspace: Path) -> Study:
    """Open the results of a workspace as its steps do."""
    results = Results("local", workspace / "results")
    return Study(results, chain.PROFILE, new_run_id(), machine.describe().machine_id, workspace / "build")


def run_to_end(step: str, workspace: Path) -> None:
    """Run a step undisturbed.

    Raises
    ------
    RuntimeError
        With the end of its output, if it fails.
    """
    if code := chain.wait(chain.start(step, workspace)):
        raise RuntimeError(f"{step} ended with exit code {code}: {chain.log_of(workspace)[-2000:]}")


def _step(rng: random.Random, step: str, workspace: Path, seconds: float) -> Tally:
    tally = Tally(step, "killed")
    for _ in range(KILLS[step]):
        before = state.finished(workspace)
        pid = chain.start(step, workspace)
        with chain.ending(pid):
            sent = _kill(rng, pid, workspace, seconds, tally)
        if sent is None:
            break
        tally.count += 1
        tally.add(sent.name)
        gone = state.lost(before, state.finished(workspace))
        broken = state.damage(workspace)
        tally.lost += len(gone) + len(broken)
        tally.defects += [f"after {sent.name}: {name} lost a finished line" for name in gone]
        tally.defects += [f"after {sent.name}: {text}" for text in broken]
    try:
        run_to_end(step, workspace)
    except RuntimeError as error:
        tally.lost += 1
        tally.defects.append(f"did not go on after the kills: {error}")
    return tally


def _append(rng: random.Random, workspace: Path) -> Tally:
    """Kill what appends records: every one that was said to be on disk is there."""
    tally = Tally("append", "killed")
    for _ in range(APPEND_KILLS):
        pid = chain.start("append", workspace)
        with chain.ending(pid):
            sent = _kill(rng, pid, workspace, 0.5, tally)
        if sent is None:
            tally.defects.append(f"appending ended by itself: {chain.log_of(workspace)[-500:]}")
            break
        tally.count += 1
        tally.add(sent.name)
        announced = workspace / "results" / "announced"
        numbers = [int(line) for line in announced.read_text().splitlines()] if announced.exists() else []
        study = study_in(workspace)
        found = [r["cores"] for r in study.results.read("machine", machine_id="appended")]
        tally.add("records", len(numbers))
        tally.lost += len(set(numbers) - set(found))
        tally.defects += state.damage(workspace)
        shutil.rmtree(workspace)
    return tally


def _kill(rng: random.Random, pid: int, workspace: Path, seconds: float, tally: Tally) -> signal.Signals | None:
    """End a run at a random point; the signal that it got, or None where it was done before."""
    sent = rng.choice(_SIGNALS)
    by_event = rng.random() < 0.5
    within, events = rng.uniform(0, seconds), rng.randint(1, 8)
    at = time.monotonic() + (2 * seconds if by_event else within)
    seen = _look(workspace)
    while time.monotonic() < at:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return None
        if by_event and (now := _look(workspace)) != seen:
            seen, events = now, events - 1
            if not events:
                break
        time.sleep(_LOOK_S)
    os.killpg(pid, sent) if sent == signal.SIGINT else os.kill(pid, sent)
    deadline = time.monotonic() + _PATIENCE_S
    while (status := os.waitpid(pid, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    if status == (0, 0):
        tally.defects.append(f"still running {_PATIENCE_S:.0f} s after {sent.name}")
        os.killpg(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)
    while (left := _group(pid)) and time.monotonic() < deadline:
        time.sleep(10 * _LOOK_S)
    if left:
        tally.defects.append(f"{len(left)} processes left running {_PATIENCE_S:.0f} s after {sent.name}")
        os.killpg(pid, signal.SIGKILL)
    if os.waitstatus_to_exitcode(status[1]) == 0:
        return None  # it was done before the signal came
    tally.add("right after a change" if by_event else "at a random time")
    return sent


def _look(workspace: Path) -> set[tuple[str, int]]:
    """Every file with its size, those of a tuner's database and half-written ones included."""
    found = set()
    for folder, _, files in os.walk(workspace):
        for name in files:
            path = os.path.join(folder, name)
            try:
                found.add((path, os.stat(path).st_size))
            except OSError:  # gone since
                continue
    return found


def _group(group: int) -> list[int]:
    """Return the processes of a group that still run; those that only wait to be reaped do not."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            found.append(int(path.parent.name))
    return found
