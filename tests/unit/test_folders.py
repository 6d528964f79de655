"""Folders that appear complete or not at all."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from codesign.folders import appearing

#: Fills a folder halfway, says so, and waits for its end.
HALF = """
import sys, time
from pathlib import Path
from codesign.folders import appearing
with appearing(Path(sys.argv[1])) as work:
    (work / "half").write_text("half")
    print("half", flush=True)
    time.sleep(600)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill(out: Path, text: str) -> None:
    with appearing(out) as work:
        (work / "text").write_text(text)
        assert not (out / "text").exists() or (out / "text").read_text() != text


def test_a_folder_appears_when_it_is_complete_and_takes_the_place_of_another(tmp_path: Path) -> None:
    out = tmp_path / "some" / "folder"
    for text in ("one", "two"):
        fill(out, text)
        assert (out / "text").read_text() == text
        assert names(out.parent) == ["folder"]
    assert out.stat().st_mode & 0o777 == (tmp_path / "some").stat().st_mode & 0o777, "as readable as any other folder"


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    fill(tmp_path / "out", "one")
    with pytest.raises(FileNotFoundError), appearing(tmp_path / "out") as work:
        (work / "no such folder" / "text").write_text("two")
    assert (tmp_path / "out" / "text").read_text() == "one"
    assert names(tmp_path) == ["out"]


def test_what_a_killed_program_left_goes_and_what_a_living_one_fills_stays(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / ".out.partial-file").write_text("somebody's")
    programs = [subprocess.Popen([sys.executable, "-c", HALF, out], stdout=subprocess.PIPE) for _ in range(2)]
    try:
        assert [program.stdout.readline() for program in programs if program.stdout] == [b"half\n"] * 2
        assert len(names(tmp_path)) == 3
        programs[0].send_signal(signal.SIGKILL)
        programs[0].wait()
        assert len(names(tmp_path)) == 3, "a kill removes nothing"
        fill(out, "whole")
        left = [name for name in names(tmp_path) if name not in ("out", ".out.partial-file")]
        assert len(left) == 1
        assert os.path.exists(tmp_path / left[0] / "new" / "half"), "the living one goes on"
        programs[1].send_signal(signal.SIGKILL)
        programs[1].wait()
        fill(out, "again")
        assert names(tmp_path) == [".out.partial-file", "out"]
    finally:
        for program in programs:
            program.kill()
            program.wait()
            if program.stdout:
                program.stdout.close()
