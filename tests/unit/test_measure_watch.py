"""Sessions on a machine whose state is scripted: which turns are repeated, which count, and how long is waited."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.progress import Progress

from codesign.measure import Contender, Protocol, session, watch
from codesign.measure.company import Look
from codesign.measure.counted import MOST_TURNS, counted, disturbed_share, has_enough, owes_turn, undisturbed
from codesign.measure.entrant import Entrant, Times
from codesign.measure.protocol import Plan
from codesign.measure.watch import Watch
from codesign.records import Results
from codesign.schema import validate

GOOD, FAR, SHARED = Look(100.0, (150.0, 150.0)), Look(40.0, (150.0, 150.0)), Look(130.0, (150.0, 70.0))
KNOWN = (100.0, 150.0)
POINT: dict[str, Any] = {
    **{"model": "bert-tiny", "seed": 1, "scope": "none", "pruner": "none", "block": "dense", "sparsity": 0.0},
    **{"batch": 2, "seq": 16, "threads": 1, "format": "fp32", "block_sparsity": 0.0, "element_sparsity": 0.0},
}
QUICK = Protocol(rounds=4, calls=2, turn_s=0.1, engine_s=10.0, alone_passes=2)


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, without making them; the other doubts of a session are not the question here."""
    monkeypatch.setattr(session, "doubts", lambda records: [])
    pauses: list[float] = []
    monkeypatch.setattr(watch.time, "sleep", pauses.append)
    return pauses


class Simulated(Entrant):
    """An entrant whose calls take 30 ms, and a nanosecond more each."""

    def __init__(self, engine: str, control: str | None = None) -> None:
        nowhere = (Path(), None, Path(), Path())
        super().__init__(Contender(engine, POINT, *nowhere, control), call_s=0.03, max_abs_err=0.0)
        self.ns = itertools.count(30_000_000)
        self.timed: list[int] = []

    def _run(self, calls: int, discard: int) -> tuple[list[int], list[int]]:
        times = list(itertools.islice(self.ns, discard + calls))
        self.timed += times[discard:]
        return times[discard:], times[:discard]


def forever(looks: Iterable[Look]) -> Iterator[Look]:
    """The script, and a good machine after its end."""
    return itertools.chain(looks, itertools.repeat(GOOD))


def attempt(
    look: Callable[[], Look], tmp_path: Path, wait_s: float = 0.0, protocol: Protocol = QUICK
) -> tuple[list[dict[str, Any]], list[Simulated], Watch]:
    """One attempt at a session of three; its records are valid, and no sample of anybody is lost."""
    entrants = [Simulated("torch-eager"), Simulated("openvino"), Simulated("torch-eager", "A/A")]
    keeper = Watch(look, wait_s, ceiling=KNOWN)
    results = Results("local", tmp_path)
    bar = Progress(console=Console(quiet=True))
    records, _ = session._Session(entrants, protocol, results, "smoke", "test", bar, keeper).attempt()
    for record, entrant in zip(records, entrants, strict=True):
        validate(record)
        kept = [record[name] for name in ("samples_ns", "disturbed_ns", "solo_ns", "disturbed_solo_ns")]
        assert sorted(itertools.chain(*kept)) == sorted(entrant.timed)
    return records, entrants, keeper


def test_a_quiet_machine_is_timed_as_planned(tmp_path: Path) -> None:
    records, _, keeper = attempt(lambda: GOOD, tmp_path, wait_s=60)
    for record in records:
        assert record["rounds"] == [2] * 4
        assert len(record["solo_ns"]) == 2 * record["settings"]["solo"]
        assert record["disturbed_rounds"] == record["disturbed_ns"] == record["disturbed_solo_ns"] == []
        assert record["company"] == {"best": [100.0, 150.0], "turns": [[100.0, 150.0]] * 4, "disturbed": []}
        assert (record["disturbed_share"], record["flagged"]) == (0.0, False)
    assert keeper.waited_s == 0


@pytest.mark.parametrize("disturbed", [FAR, SHARED])
@pytest.mark.parametrize("when", [0, 1], ids=["before", "after"])
def test_a_disturbed_turn_is_taken_again(tmp_path: Path, disturbed: Look, when: int) -> None:
    """The first turn of somebody is disturbed: six passes alone, of two looks each, come before."""
    script = forever([GOOD] * (12 + when) + [disturbed])
    records, _, _ = attempt(lambda: next(script), tmp_path)
    again = [record for record in records if record["disturbed_rounds"]]
    assert [record["disturbed_rounds"] for record in again] == [[2]]
    assert again[0]["company"]["disturbed"] == [list(disturbed.worse(GOOD).pair)]
    assert [record["rounds"] for record in records] == [[2] * 4] * 3
    assert {record["disturbed_share"] for record in records} == {round(1 / 13, 4)}
    assert not records[0]["flagged"]


def test_a_disturbed_pass_alone_is_made_again(tmp_path: Path) -> None:
    script = forever([FAR])
    records, _, _ = attempt(lambda: next(script), tmp_path)
    assert [len(record["disturbed_solo_ns"]) for record in records] == [4, 0, 0]
    assert [len(record["solo_ns"]) for record in records] == [8, 8, 8]


def test_a_machine_that_stays_disturbed_flags_the_session_and_all_turns_count(tmp_path: Path) -> None:
    records, entrants, _ = attempt(lambda: FAR, tmp_path)
    for record in records:
        assert record["rounds"] == [2] * 4 * MOST_TURNS
        assert record["disturbed_ns"] == record["disturbed_solo_ns"] == []
        assert record["disturbed_share"] == 1.0
        assert record["flagged"]
        assert "disturbed: too few undisturbed turns of torch-eager none dense, openvino" in record["flag_reason"]
        assert record["company"]["turns"] == [[40.0, 150.0]] * 8
    assert len(entrants[0].timed) == 2 * 2 * 2 * MOST_TURNS + 8 * 2


def test_half_of_the_rounds_are_enough(tmp_path: Path) -> None:
    """Looks alternate by turn: every other turn counts, of twice as many."""
    script = itertools.chain([GOOD] * 12, itertools.cycle([GOOD] * 6 + [FAR] * 6))
    records, _, _ = attempt(lambda: next(script), tmp_path)
    assert [record["rounds"] for record in records] == [[2] * 4] * 3
    assert not records[0]["flagged"]
    plan = Plan(rounds=4, calls=1, discard=3, solo=2, solo_discard=3)
    for good, enough in ((1, False), (2, True), (4, True)):
        looks = [GOOD] * good + [FAR] * (8 - good)
        assert has_enough(Times(plan, [], [[1]] * 8, [], [], looks), KNOWN) == enough


def test_a_better_machine_seen_later_makes_the_first_turns_count_for_nothing(tmp_path: Path) -> None:
    """The first looks are all that is known of the machine, and turn out to be those of a slow one."""
    entrants = [Simulated("torch-eager"), Simulated("openvino"), Simulated("torch-eager", "A/A")]
    script = forever([FAR] * (12 + 6))
    keeper = Watch(lambda: next(script), 0.0)
    bar = Progress(console=Console(quiet=True))
    running = session._Session(entrants, QUICK, Results("local", tmp_path), "smoke", "test", bar, keeper)
    records, _ = running.attempt()
    assert [record["rounds"] for record in records] == [[2] * 4] * 3
    assert [record["disturbed_rounds"] for record in records] == [[2]] * 3


def test_waiting_ends_with_the_disturbance_or_with_the_budget(slept: list[float]) -> None:
    said: list[str | None] = []
    script = forever([FAR] * 3)
    keeper = Watch(lambda: next(script), 10.0, said.append, KNOWN)
    assert keeper.around(lambda: "done") == ("done", GOOD)
    assert slept.count(watch._PAUSE_S) == 3
    assert keeper.waited_s == pytest.approx(10.0 - keeper.left_s) == pytest.approx(0.9)
    assert said[0] == "waiting for the machine: cores far apart, 0 s so far"
    assert said[-1] is None

    keeper = Watch(lambda: SHARED, 1.0, said.append, KNOWN)
    for _ in range(3):  # the budget is one for all turns
        _, look = keeper.around(lambda: None)
        assert look == SHARED
    assert keeper.waited_s == pytest.approx(0.9)
    assert said[-2].startswith("waiting for the machine: cores shared with others")


def test_nobody_waits_without_a_budget(slept: list[float]) -> None:
    keeper = Watch(lambda: FAR, 0.0, ceiling=KNOWN)
    assert keeper.around(pow, 2, 3) == (8, FAR)
    assert watch._PAUSE_S not in slept


STATES = st.lists(st.sampled_from([GOOD, FAR, SHARED]), min_size=1, max_size=12)


@given(looks=STATES, seeds=st.lists(st.integers(1, 10**9), min_size=12, max_size=12), everything=st.booleans())
def test_what_counts_does_not_depend_on_the_times_and_nothing_is_lost(
    looks: list[Look], seeds: list[int], everything: bool
) -> None:
    plan = Plan(rounds=4, calls=1, discard=3, solo=1, solo_discard=3)
    turns = [[ns, ns + 1] for ns in seeds[: len(looks)]]
    times = Times(plan, turns, turns, [7], looks, looks)
    flat = Times(plan, [[1, 1]] * len(looks), [[1, 1]] * len(looks), [7], looks, looks)
    found, same = (counted(each, KNOWN, everything=everything) for each in (times, flat))
    for name in ("rounds", "disturbed_rounds", "company", "warmup_ns"):
        assert found[name] == same[name]
    assert owes_turn(times, KNOWN) == owes_turn(flat, KNOWN)
    every = sorted(ns for turn in turns for ns in turn)
    assert sorted(found["samples_ns"] + found["disturbed_ns"]) == every
    assert sorted(found["solo_ns"] + found["disturbed_solo_ns"]) == every
    assert found["solo_ns"], "an engine has always run alone"
    good = undisturbed(looks, KNOWN)
    assert len(found["rounds"]) == (len(looks) if everything else sum(good))
    assert disturbed_share({0: times}, KNOWN) == pytest.approx(1 - sum(good) / len(good), abs=1e-4)


def test_an_engine_that_was_not_timed_has_no_company() -> None:
    nothing: dict[str, Any] = {"samples_ns": [], "rounds": [], "warmup_ns": [], "solo_ns": []}
    assert counted(None, KNOWN, everything=False) == nothing
    assert disturbed_share({}, KNOWN) == 0.0
