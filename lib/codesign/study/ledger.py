"""What a run is expected to cost, step by step, said before it starts."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable

import yaml
from rich.table import Table

from codesign.study import places
from codesign.study.chain import duration


def record(profile: str, mode: str, step: str, seconds: float) -> None:
    """Remember how long a step took here."""
    path = places.build() / "ledger.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps({"profile": profile, "results": mode, "step": step, "seconds": seconds}) + "\n")


def budgets(profile: str) -> dict[str, float]:
    """Return the minutes that a profile grants each step, on two cores."""
    content = yaml.safe_load((places.PROFILES / f"{profile}.yaml").read_text())
    return {step: float(minutes) for step, minutes in content["budget_minutes"].items()}


def took(profile: str) -> dict[str, float]:
    """Return the seconds of the longest run of each step here, measuring: later ones found work already done."""
    path = places.build() / "ledger.jsonl"
    longest: dict[str, float] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError, TypeError, KeyError):  # a line torn by a kill: one time is not known
            entry = json.loads(line)
            if (entry["profile"], entry["results"]) == (profile, "local"):
                longest[entry["step"]] = max(entry["seconds"], longest.get(entry["step"], 0.0))
    return longest


def table(profile: str, steps: Iterable[str]) -> Table:
    """Lay out the budget of each step beside what it took here before."""
    budget, before = budgets(profile), took(profile)
    steps = [*steps, "book"]
    shown = Table(title=f"What profile {profile} costs (finished work is not repeated)", title_justify="left")
    shown.add_column("step")
    shown.add_column("budget, 2 cores", justify="right")
    shown.add_column("longest here", justify="right")
    for step in steps:
        here = duration(before[step]) if step in before else "not run yet"
        shown.add_row(step, duration(60 * budget[step]), here, end_section=step == steps[-1])
    shown.add_row("all", duration(60 * sum(budget[step] for step in steps)), "")
    return shown
