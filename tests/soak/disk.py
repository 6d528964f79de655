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

from tests.soak import chain, state
from tests.soak.kills import KILLS, uninterrupted
from tests.soak.tally import Tally

from codesign import machine

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
                if chain.run(step, workspace, limit):
                    tally.subject, tally.count, limit = step, 1, None
                    said = chain.said(workspace)
                    tally.lose(*state.lost(before, state.finished(workspace)), *state.damage(workspace))
                    tally.refused = int(any(text in said for text in _SAID))
                    if not tally.refused:
                        tally.defects.append(f"failed without saying that the disk is full: {said[-300:]}")
                    grow()
                    chain.run_to_end(step, workspace)
            state.compare(tally, expected, workspace)
    return [tally]


@contextmanager
def _small(scratch: Path, size: int) -> Iterator[tuple[Path, str, int | None, Callable[[], object]]]:
    """Give a workspace of ``size`` bytes, what makes it small, the limit of a file, and what takes the limits away."""
    workspace = scratch / "workspace"
    workspace.mkdir()

    def mount(options: str, *what: str) -> int:
        done = subprocess.run(["mount", "-o", options, *what, str(workspace)], capture_output=True, check=False)
        return done.returncode

    if os.geteuid() or mount(f"size={size}", "-t", "tmpfs", "codesign-soak"):
        yield workspace, "limited file size", size // 4, lambda: None
        return
    try:
        yield workspace, "full disk", None, lambda: mount(f"remount,size={_PLENTY}")
    finally:
        subprocess.run(["umount", "--lazy", str(workspace)], check=True)
