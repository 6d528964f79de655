"""Prints what ``budgets.yaml`` grants beside what is there: lines of each room, and the seconds last measured.

Lines come with how many more or fewer than before there are: before this branch left the one that it follows, or else
before the last commit.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
BUDGETS = yaml.safe_load((ROOT / "tests" / "budgets.yaml").read_text(encoding="utf-8"))


def git(*arguments: str) -> str:
    """Return what git says, which is nothing where it fails."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def room(path: str) -> str:
    """Return the room of a file, as in ``lib/codesign/compiler`` or ``tests/unit``."""
    folders = path.split("/")
    return "/".join(folders[: 3 if folders[0] == "lib" else min(2, len(folders) - 1)]).removesuffix(".py")


def before() -> Counter[str]:
    """Count the lines that each room had."""
    commit = git("merge-base", "HEAD", "@{upstream}")
    if commit in ("", git("rev-parse", "HEAD")):
        commit = "HEAD~"
    lines: Counter[str] = Counter()
    for found in git("grep", "--count", "", commit, "--", *(f"{tree}/*.py" for tree in BUDGETS["lines"])).splitlines():
        _, path, number = found.split(":")
        lines[room(path)] += int(number)
    return lines


def main() -> None:
    """Print a line for each room and the sum of each tree beside its budget, then a line for each command."""
    old = before()
    for tree, budget in BUDGETS["lines"].items():
        files, lines = Counter[str](), Counter[str]()
        for path in (ROOT / tree).rglob("*.py"):
            name = room(path.relative_to(ROOT).as_posix())
            files[name] += 1
            lines[name] += len(path.read_text(encoding="utf-8").splitlines())
        names = {*lines, *(name for name in old if name.startswith(tree))}
        for name in sorted(names):
            print(f"{name:26} {files[name]:4} files {lines[name]:7,} lines {lines[name] - old[name]:+7,}")
        gained = lines.total() - sum(old[name] for name in names)
        print(f"{tree:26} {files.total():4} files {lines.total():7,} lines {gained:+7,}, budget {budget:,}\n")
    print(f"seconds on two cores, last measured: {BUDGETS['measured']}")
    for command, times in BUDGETS["seconds"].items():
        print(f"{command:30} {times['measured']:7,} s, budget {times['budget']:,} s")


if __name__ == "__main__":
    main()
