"""The chain on a disk that is too small, then with space given back: a clear error, nothing lost, the same end.

The workspace lies on a file system of its own, which only root may make; anybody else gets a limit on the size of a
file instead, which fails large files and spares small ones.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from codesign import machine
from codesign.study.determinism import first_difference
from codesign.study.soak import chain, state
from codesign.study.soak.kills import KILLS, run_to_end, study_in, uninterrupted
from codesign.study.soak.tally import Tally

#: Shares of the space that the whole chain takes; the fuller the disk was, the later the step that fails.
SHARES = (0.02, 0.1, 0.25, 0.4, 0.48, 0.52, 0.6, 0.75, 0.9, 0.97)
#: What the operating system says of a full disk, and of a file that is too large.
_SAID = ("No space left on device", "File too large")
_PLENTY = 1 << 30


def one_round(seed: int) -> list[Tally]:
    """Run the chain in a share of the space that it takes; give the rest when it fails, and run it to its end.

    Returns
    -------
    list[Tally]
        One, for the step that failed; with a count of 0 where everything fitted.
    """
    with machine.exclusive("soak: full disk"), tempfile.TemporaryDirectory(prefix="codesign-disk-") as scratch:
        expected, _, size = uninterrupted()
        with _small(Path(scratch), int(size * SHARES[seed % len(SHARES)])) as (workspace, how, limit, grow):
            tally = Tally("none", how)
            for step in KILLS:
                before = state.finished(workspace)
                code, said = _run(step, workspace, limit)
                if code:
                    tally.subject, tally.count = step, 1
                    tally.refused = int(any(text in said for text in _SAID))
                    _check(tally, before, workspace, said)
                    grow()
                    limit = None
                    run_to_end(step, workspace)
            study = study_in(workspace)
            tally.wrong += state.wrong(study)
            if difference := first_difference(expected, state.end_state(study)):
                tally.lost += 1
                tally.defects.append(f"the end differs from that of an undisturbed run: {difference}")
    return [tally]


def _check(tally: Tally, before: dict[str, list[bytes]], workspace: Path, said: str) -> None:
    gone, broken = state.lost(before, state.finished(workspace)), state.damage(workspace)
    tally.lost += len(gone) + len(broken)
    tally.defects += [*(f"{name} lost a finished line" for name in gone), *broken]
    if not tally.refused:
        tally.defects.append(f"failed without saying that the disk is full: {said[-300:]}")


def _run(step: str, workspace: Path, limit: int | None) -> tuple[int, str]:
    """Return how a step ended and the last of what it said."""
    known = len(chain.log_of(workspace))
    code = chain.wait(chain.start(step, workspace, limit))
    return code, chain.log_of(workspace)[known:][-2000:]


@contextmanager
def _small(scratch: Path, size: int) -> Iterator[tuple[Path, str, int | None, Callable[[], None]]]:
    """Give a workspace of ``size`` bytes, what makes it small, the limit of a file, and what takes the limits away."""
    workspace = scratch / "workspace"
    workspace.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={size}", "codesign-soak", str(workspace)]
    if os.geteuid() or subprocess.run(mounted, capture_output=True, check=False).returncode:
        yield workspace, "limited file size", size // 4, lambda: None
        return
    try:
        yield workspace, "full disk", None, lambda: _grow(workspace)
    finally:
        subprocess.run(["umount", "--lazy", str(workspace)], check=True)


def _grow(workspace: Path) -> None:
    subprocess.run(["mount", "-o", f"remount,size={_PLENTY}", str(workspace)], check=True)
