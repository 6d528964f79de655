"""Which turns of a session count: the undisturbed ones, judged by looks at the machine and never by times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from codesign.measure.company import Look, Pair, disturbance
from codesign.measure.entrant import Times

#: An engine that is disturbed takes up to this many times the turns that it was planned to take.
MOST_TURNS = 2

Item = TypeVar("Item")


def undisturbed(looks: Sequence[Look], best: Pair) -> list[bool]:
    """Say of each look whether the machine was as it should be; what is `best` may still change later."""
    return [disturbance(look, best) is None for look in looks]


def owes_alone(times: Times, passes: int, best: Pair) -> bool:
    """Whether an engine has yet to run alone again to have `passes` passes that count."""
    return sum(undisturbed(times.solo_looks, best)) < passes and len(times.solo) < MOST_TURNS * passes


def owes_turn(times: Times, best: Pair) -> bool:
    """Whether an engine has yet to take a turn to have all rounds of its plan."""
    rounds = times.plan.rounds
    return sum(undisturbed(times.looks, best)) < rounds and len(times.rounds) < MOST_TURNS * rounds


def has_enough(times: Times, best: Pair) -> bool:
    """Whether so many turns count that the others can be left out: half of those planned, and two at least."""
    return sum(undisturbed(times.looks, best)) >= max(2, times.plan.rounds / 2)


def disturbed_share(everyone: Mapping[int, Times], best: Pair) -> float:
    """Share of disturbed turns among all that were taken."""
    turns = [fine for times in everyone.values() for fine in undisturbed(times.looks, best)]
    return round(1 - sum(turns) / len(turns), 4) if turns else 0.0


def counted(times: Times | None, best: Pair, *, everything: bool) -> dict[str, Any]:
    """The samples of an engine as fields of a record: those that count, and those that do not.

    Parameters
    ----------
    times
        Of one engine in one session; None if it was not timed.
    best
        The best rates in the whole session.
    everything
        Count disturbed turns as well.
    """
    if times is None:
        return {name: [] for name in ("samples_ns", "rounds", "warmup_ns", "solo_ns")}
    fine = [everything or each for each in undisturbed(times.looks, best)]
    alone = undisturbed(times.solo_looks, best)
    alone = [everything or each or not any(alone) for each in alone]
    rounds, others = _split(times.rounds, fine)
    solo, disturbed_solo = _split(times.solo, alone)
    here, there = _split([list(look.pair) for look in times.looks], fine)
    return {
        "samples_ns": _flat(rounds),
        "rounds": [len(turn) for turn in rounds],
        "warmup_ns": times.warmup,
        "solo_ns": _flat(solo),
        "disturbed_ns": _flat(others),
        "disturbed_rounds": [len(turn) for turn in others],
        "disturbed_solo_ns": _flat(disturbed_solo),
        "company": {"best": list(best), "turns": here, "disturbed": there},
    }


def _split(items: Sequence[Item], fine: Sequence[bool]) -> tuple[list[Item], list[Item]]:
    pairs = list(zip(items, fine, strict=True))
    return [item for item, good in pairs if good], [item for item, good in pairs if not good]


def _flat(turns: Sequence[Sequence[int]]) -> list[int]:
    return [ns for turn in turns for ns in turn]
