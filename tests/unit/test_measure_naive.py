"""Why engines take turns: a machine on which each call is slow until the engine before has gone to sleep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from codesign.answers.frames import frame
from codesign.answers.numbers import distortions
from codesign.measure import Contender, Protocol, naive
from codesign.measure.entrant import Entrant
from codesign.measure.naive import WAYS, time_ways
from codesign.records import stamp
from codesign.study import comparisons
from codesign.study.chain import open_study
from codesign.study.points import Case, Point

QUICK = Protocol(rounds=3, calls=4, turn_s=0.1, engine_s=1.0)
POINT: dict[str, Any] = {
    **{"model": "bert-tiny", "seed": 1, "scope": "none", "pruner": "none", "block": "dense", "sparsity": 0.0},
    **{"batch": 2, "seq": 16, "threads": 1, "format": "fp32", "block_sparsity": 0.0, "element_sparsity": 0.0},
    "isa": "native",
}


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naive, "_REST_S", 0.0)


class Machine:
    """The first two calls after another engine's take `slowed` times as long as the rest."""

    def __init__(self, slowed: dict[str, int]) -> None:
        self.slowed, self.last, self.since = slowed, "", 0

    def call(self, engine: str, ns: int) -> int:
        self.since = self.since + 1 if engine == self.last else 0
        first, self.last = self.last == "", engine
        return ns * (self.slowed[engine] if self.since < 2 and not first else 1)


class Simulated(Entrant):
    """An entrant whose engine runs on a `Machine`."""

    def __init__(self, contender: Contender, machine: Machine, ns: int) -> None:
        super().__init__(contender, QUICK, call_s=ns / 1e9)
        self.machine, self.ns = machine, ns

    def run(self, calls: int, discard: int) -> tuple[list[int], list[int]]:
        times = [self.machine.call(self.contender.engine, self.ns) for _ in range(discard + calls)]
        return times[discard:], times[:discard]


def simulated() -> dict[str, list[naive.Rounds]]:
    """One engine takes 30 ms and bears its neighbour, the other 20 ms and three times that after the first."""
    machine = Machine({"torch-eager": 1, "openvino": 3})
    nowhere = (Path(), None, Path(), Path())
    pair = [("torch-eager", 30_000_000), ("openvino", 20_000_000)]
    return time_ways([Simulated(Contender(name, POINT, *nowhere), machine, ns) for name, ns in pair])


def records() -> list[dict[str, Any]]:
    start = stamp("protocol", profile="quick", run_id="r", machine_id="m") | POINT | {"session_id": "s"}
    return [
        start | {"engine": name, "way": way} | naive.samples(rounds)
        for way, timed in simulated().items()
        for name, rounds in zip(("torch-eager", "openvino"), timed, strict=True)
    ]


def test_the_naive_protocol_is_wrong_where_turns_are_right() -> None:
    found = distortions(frame(records()))
    assert found["engine"].tolist() == ["torch-eager"] * 3 + ["openvino"] * 3
    assert found["way"].tolist() == [*WAYS, *WAYS]
    assert found["ms"].tolist() == [30.0, 30.0, 30.0, 20.0, 60.0, 20.0]  # naively the faster engine looks slower
    assert found["of_alone"].tolist() == [1.0, 1.0, 1.0, 1.0, 3.0, 1.0]


def test_each_way_makes_as_many_timed_calls_as_the_turns() -> None:
    timed = simulated()
    assert [[len(turn) for turn in rounds] for rounds in timed["turns"]] == [[3] * 3, [4] * 3]
    assert [[len(turn) for turn in rounds] for rounds in timed["naive"]] == [[1] * 9] * 2
    assert [[len(turn) for turn in rounds] for rounds in timed["alone"]] == [[1] * 6, [1] * 8]


def test_a_pair_is_compared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    study, done = open_study("local", "quick"), []
    point = Point("bert-tiny", 0, "none", "none", "dense", 0.0, 1, 32, 1)
    pair = (Case("torch-eager", point), Case("torch-bf16", point))

    def compare(contenders: list[Case], **_: Any) -> None:
        done.append(contenders)
        timed = {"samples_ns": [1, 2], "rounds": [2], "max_abs_err": 0.0, "settings": {}, "session_id": "s"}
        timed |= {"block_sparsity": 0.0, "element_sparsity": 0.0}
        for way in WAYS:
            for case in pair:
                study.append("protocol", case.fields(), {"way": way}, timed)

    monkeypatch.setattr(comparisons, "contender", lambda study, case: case)
    monkeypatch.setattr(comparisons, "compare_ways", compare)
    first = comparisons.ensure_compared(study, pair)
    assert [(r["way"], r["format"]) for r in first[:2]] == [("alone", "fp32"), ("alone", "bf16")]
    assert comparisons.ensure_compared(study, pair) == first
    assert done == [list(pair)]
