"""Sessions on a machine whose state is scripted, with workers that are simulated; notebooks have real ones."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign import machine
from codesign.engines import EngineError, Refused, deepsparse
from codesign.engines.client import WorkerDied
from codesign.errors import InputError
from codesign.measure import Contender, Protocol, company, entrant, naive, run_session, session
from codesign.measure.company import Look, Watch
from codesign.measure.entrant import Entrant, Turn, undisturbed
from codesign.measure.naive import compare_ways
from codesign.measure.ratios import process_spread
from codesign.records import Results, stamp
from codesign.schema import validate

GOOD, FAR, SHARED = Look(100.0, 150.0), Look(40.0, 150.0), Look(130.0, 70.0)
POINT: dict[str, Any] = {
    **{"model": "bert-tiny", "seed": 1, "scope": "none", "pruner": "none", "block": "dense", "sparsity": 0.0},
    **{"batch": 2, "seq": 16, "threads": 1, "format": "fp32", "block_sparsity": 0.0, "element_sparsity": 0.0},
    "isa": "native",
}
PLANNED = Protocol(rounds=4, calls=2, turn_s=0.1, engine_s=10.0, alone_passes=2)
QUICK = Protocol(rounds=2, calls=2, turn_s=0.1, engine_s=1.0)
CALL_S = 0.03


class Clock:
    """A clock that only sleeping and simulated calls put forward."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(session, "time", clock)
    monkeypatch.setattr(company, "time", clock)
    return clock


class Simulated(Entrant):
    """An entrant whose calls take 30 ms, or `slower` times as long when it is timed, and a nanosecond more each."""

    def __init__(self, clock: Clock, engine: str, control: str | None = None, slower: float = 1.0) -> None:
        contender = Contender(engine, POINT, Path(), None, Path(), Path(), control)
        super().__init__(contender, PLANNED, call_s=CALL_S, max_abs_err=0.0)
        self.clock, self.slower, self.ns, self.timed = clock, slower, itertools.count(30_000_000), list[int]()

    def run(self, calls: int, discard: int) -> tuple[list[int], list[int]]:
        self.clock.now += CALL_S * self.slower * (discard + calls)
        times = list(itertools.islice(self.ns, discard + calls))
        self.timed += times[discard:]
        return times[discard:], times[:discard]


def simulate(
    clock: Clock, look: Callable[[], Look], known: Look = GOOD, slower: float = 1.0
) -> tuple[list[dict[str, Any]], Watch, float]:
    """A session of three: its records, which are valid and have every sample; its watch; and its length as planned."""
    names = [("torch-eager", None), ("openvino", None), ("torch-eager", "A/A")]
    entrants = [Simulated(clock, *name, slower=slower) for name in names]
    seconds = 3 * PLANNED.seconds(CALL_S)
    watch = Watch(look, 0.5 * seconds, known)
    session.time_all(entrants, watch, seconds, seed="s")
    common = stamp("latency", profile="quick", run_id="r", machine_id="m") | {"session_id": "s"}
    records = session.records_of(entrants, watch, common)
    for record, each in zip(records, entrants, strict=True):
        validate(record)
        kept = [record[name] for name in ("samples_ns", "disturbed_ns", "solo_ns", "disturbed_solo_ns")]
        assert sorted(itertools.chain(*kept)) == sorted(each.timed)
    return records, watch, seconds


def forever(looks: Iterable[Look]) -> Iterator[Look]:
    """The script, and a good machine after its end."""
    return itertools.chain(looks, itertools.repeat(GOOD))


def test_a_quiet_machine_is_timed_as_planned(clock: Clock) -> None:
    records, watch, seconds = simulate(clock, lambda: GOOD)
    for record in records:
        assert record["rounds"] == [2] * 4
        assert len(record["solo_ns"]) == 2 * record["settings"]["solo"]
        assert record["disturbed_rounds"] == record["disturbed_ns"] == record["disturbed_solo_ns"] == []
        assert record["company"] == {"best": [100.0, 150.0], "turns": [[100.0, 150.0]] * 4, "disturbed": []}
        assert (record["disturbed_share"], record["flagged"]) == (0.0, False)
    assert watch.waited_s == 0
    assert clock.now == pytest.approx(seconds, rel=0.05)


@pytest.mark.parametrize("disturbed", [FAR, SHARED])
def test_a_turn_that_was_disturbed_when_it_ended_is_taken_again(clock: Clock, disturbed: Look) -> None:
    """The first turn of somebody: six passes alone, of two looks each, come before."""
    script = forever([GOOD] * 13 + [disturbed])
    records, _, _ = simulate(clock, lambda: next(script))
    again = [record for record in records if record["disturbed_rounds"]]
    assert [record["disturbed_rounds"] for record in again] == [[2]]
    assert again[0]["company"]["disturbed"] == [list(disturbed.worse(GOOD))]
    assert [record["rounds"] for record in records] == [[2] * 4] * 3
    assert {record["disturbed_share"] for record in records} == {round(1 / 13, 4)}
    assert not records[0]["flagged"]


def test_a_pass_alone_that_was_disturbed_is_made_again(clock: Clock) -> None:
    script = forever([GOOD, FAR])
    records, _, _ = simulate(clock, lambda: next(script))
    assert [len(record["disturbed_solo_ns"]) for record in records] == [4, 0, 0]
    assert [len(record["solo_ns"]) for record in records] == [8, 8, 8]


def test_a_disturbance_that_ends_is_waited_for(clock: Clock) -> None:
    script = forever([FAR] * 3)
    records, watch, _ = simulate(clock, lambda: next(script))
    assert watch.waited_s == pytest.approx(3 * company._PAUSE_S)
    assert {record["disturbed_share"] for record in records} == {0.0}


@pytest.mark.parametrize("slower", [1.0, 4.0])
def test_a_session_on_a_disturbed_machine_ends_at_one_and_a_half_times_its_budget_with_its_mark(
    clock: Clock, slower: float
) -> None:
    records, watch, seconds = simulate(clock, lambda: FAR, slower=slower)
    assert watch.waited_s == pytest.approx(0.5 * seconds, abs=company._PAUSE_S)
    for record in records:
        assert record["flagged"]
        assert "disturbed: too few undisturbed turns of torch-eager none dense, openvino" in record["flag_reason"]
        assert record["disturbed_share"] == 1.0
        assert record["disturbed_ns"] == record["disturbed_solo_ns"] == []
        assert len(record["company"]["turns"]) == len(record["rounds"]) >= 2  # all count: an interval needs two
    assert len({len(record["rounds"]) for record in records}) == 1
    if slower == 1:
        assert 1.2 * seconds < clock.now <= 1.5 * seconds


def test_half_of_the_rounds_are_enough(clock: Clock) -> None:
    """From the second round on, every turn ends disturbed or is waited for in vain."""
    script = itertools.chain([GOOD] * (12 + 12), itertools.repeat(FAR))
    records, _, _ = simulate(clock, lambda: next(script))
    assert [record["rounds"] for record in records] == [[2] * 2] * 3
    assert all(len(record["disturbed_rounds"]) >= 2 for record in records)
    assert not records[0]["flagged"]


def test_a_better_machine_seen_later_makes_the_first_turns_count_for_nothing(clock: Clock) -> None:
    """The first looks are all that is known of the machine, and turn out to be those of a slow one."""
    script = forever([FAR] * (12 + 6))
    records, _, _ = simulate(clock, lambda: next(script), known=company.UNKNOWN)
    assert [record["rounds"] for record in records] == [[2] * 4] * 3
    assert [record["disturbed_rounds"] for record in records] == [[2]] * 3


STATES = st.lists(st.sampled_from([GOOD, FAR, SHARED]), min_size=1, max_size=12)


@given(looks=STATES, seeds=st.lists(st.integers(1, 10**9), min_size=12, max_size=12), everything=st.booleans())
def test_what_counts_does_not_depend_on_the_times_and_nothing_is_lost(
    looks: list[Look], seeds: list[int], everything: bool
) -> None:
    def fields(samples: list[list[int]]) -> dict[str, Any]:
        turns = [Turn(each, look) for each, look in zip(samples, looks, strict=True)]
        contender = Contender("torch-eager", POINT, Path(), None, Path(), Path())
        timed = Entrant(contender, PLANNED, call_s=CALL_S, solo=turns, turns=turns, warmup=[7])
        return timed.fields(GOOD, everything=everything)

    turns = [[ns, ns + 1] for ns in seeds[: len(looks)]]
    found, same = fields(turns), fields([[1, 1]] * len(looks))
    for name in ("rounds", "disturbed_rounds", "company", "warmup_ns"):
        assert found[name] == same[name]
    every = sorted(ns for turn in turns for ns in turn)
    assert sorted(found["samples_ns"] + found["disturbed_ns"]) == every
    assert sorted(found["solo_ns"] + found["disturbed_solo_ns"]) == every
    assert found["solo_ns"], "an engine has always run alone"
    good = undisturbed([Turn([], look) for look in looks], GOOD)
    assert len(found["rounds"]) == (len(looks) if everything else sum(good))


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    quiet = SimpleNamespace(prepare=lambda: None, look=lambda: Look(None, 100.0))  # nothing disturbs this machine
    monkeypatch.setattr(session, "Company", lambda threads: contextlib.nullcontext(quiet))
    return Results("local", tmp_path / "results")


class Pretended:
    """Stands in for a worker: what it computes, and what it does instead, goes by the name of its engine."""

    output_of: dict[str, Any] = {}  # noqa: RUF012
    alive: set[Pretended] = set()  # noqa: RUF012

    def __init__(self, job: Any, cpus: Any) -> None:
        self.answer = self.output_of[job.engine]
        self.runs = 0
        self.alive.add(self)

    def prepare(self, conversions: Any) -> dict[str, Any]:
        if isinstance(self.answer, EngineError):
            raise self.answer
        return {"disk_bytes": 5, "settings": {"set": True}, "seconds": 0.12345}

    def output(self) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        about = {"call_ns": 1_000_000, "peak_rss_bytes": 9}
        return {"out": np.asarray(self.answer, np.float32)}, about

    def run(self, *, calls: int, discard: int) -> tuple[list[int], list[int]]:
        self.runs += 1
        if self.answer is DYING and self.runs == 4:  # of check, alone and two turns
            raise WorkerDied("died while asked to run")
        return [1_000_000] * calls, [2_000_000] * discard

    def close(self) -> None:
        self.alive.remove(self)


RIGHT: list[list[float]] = [[0.0, 1.0]]
DYING: list[list[float]] = [[0.0, 1.0]]


def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **others: Any) -> list[Contender]:
    """The references, and other engines that answer so."""
    answers = {"torch-eager": RIGHT, "openvino": RIGHT} | {
        name.replace("_", "-"): each for name, each in others.items()
    }
    monkeypatch.setattr(Pretended, "output_of", answers)
    monkeypatch.setattr(Pretended, "alive", set())
    monkeypatch.setattr(entrant, "Worker", Pretended)
    np.savez(tmp_path / "inputs.npz", attention_mask=np.ones((1, 2), np.int64))
    np.savez(tmp_path / "expected.npz", out=np.array(RIGHT, np.float32))
    paths = tmp_path, None, tmp_path / "expected.npz", tmp_path / "inputs.npz"
    return [Contender(engine, POINT, *paths) for engine in answers]


def run(contenders: list[Contender], results: Results) -> list[dict[str, Any]]:
    return run_session(contenders, protocol=QUICK, results=results, profile="quick", run_id="test")


def same(read: list[dict[str, Any]], written: list[dict[str, Any]]) -> bool:
    """Whether all was read as it was written; what a record leaves out gets its default."""
    return len(read) == len(written) and all(w.items() <= r.items() for r, w in zip(read, written, strict=True))


def test_each_gets_its_status_and_only_what_is_right_is_timed(
    tmp_path: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = {
        "torch_bf16": [[0.0, np.nan]],
        "torch_compile": [[0.0]],
        "onnxruntime": [[0.0, 9.0]],
        "openvino_bf16": [[0.0, 1.4]],  # rounding
        "openvino_int8": [[0.1, 1.9]],
        "onnxruntime_int8": [[1.0, 0.9]],
        "torch_bsr": Refused("takes no such block"),
        "tvm_dense": EngineError("broke"),
    }
    monkeypatch.setattr(session, "doubts", lambda records: ["made up"])
    contenders = pretend(tmp_path, monkeypatch, **outcomes)
    monkeypatch.setattr(deepsparse, "PEERS", tmp_path / "peers")  # not here
    missing = dataclasses.replace(contenders[0], engine="deepsparse")
    records = run([*contenders, missing], results)
    assert same(results.read("latency"), records)
    assert not Pretended.alive
    found = {(r["engine"], r["control"]): r for r in records}
    assert {name: r["status"] for (name, control), r in found.items() if control is None} == {
        **{"torch-eager": "ok", "openvino": "ok", "openvino-bf16": "ok", "torch-bf16": "failed"},
        **{"openvino-int8": "ok", "onnxruntime-int8": "failed"},
        **{"torch-compile": "failed", "onnxruntime": "failed", "torch-bsr": "skipped", "tvm-dense": "failed"},
        "deepsparse": "skipped",
    }
    reasons = {
        "torch-bf16": "not finite",
        "torch-compile": r"shapes {'out': \(1, 1\)}",
        "onnxruntime": "wrong output: max abs",
        "onnxruntime-int8": "wrong output: cosine 0.6690 to PyTorch, 0.9",
    }
    reasons |= {"torch-bsr": "takes no such block", "tvm-dense": "broke", "deepsparse": "make peers"}
    for engine, reason in reasons.items():
        record = found[engine, None]
        assert re.search(reason, record["reason"])
        assert record["samples_ns"] == record["solo_ns"] == record["warmup_ns"] == []
    spread = round(process_spread(records), 4)
    for record in records:
        assert record["session_id"] == records[0]["session_id"]
        assert record["machine_id"] == machine.describe().machine_id
        assert POINT.items() - {("format", "fp32")} <= record.items()
        assert (record["flagged"], record["flag_reason"]) == (True, "made up"), "it is kept with its mark"
        assert record["process_spread"] == spread >= 1
        if record["status"] == "ok":
            assert record["rounds"] == [2, 2]
            assert len(record["warmup_ns"]) == 2 * record["settings"]["discard"]
            assert record["settings"]["cpus"] == machine.cpus(1)
            assert (record["peak_rss_bytes"], record["disk_bytes"]) == (9, 5)
    assert found["openvino", None]["settings"]["max_abs_err_allowed"] == 0.01
    assert found["openvino-bf16", None]["settings"]["max_abs_err_allowed"] == 0.5
    assert found["openvino-int8", None]["settings"]["cosine_required"] == entrant.WRONG_BELOW["int8"]
    assert found["openvino", None]["cosine"] == 1.0
    assert found["torch-eager", "A/A"]["status"] == "ok"


def test_a_worker_that_dies_takes_the_session_with_it_and_leaves_no_record(
    tmp_path: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    contenders = pretend(tmp_path, monkeypatch, onnxruntime=DYING)
    with pytest.raises(WorkerDied, match="died while asked to run"):
        run(contenders, results)
    assert results.read("latency") == []
    assert not Pretended.alive


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"engine": "onnxruntime"}, "openvino among them"),
        ({"inputs": Path("no.npz")}, "inputs=.*existing"),
        ({"point": POINT | {"threads": 2}}, "the same number"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_starts(
    tmp_path: Path, results: Results, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], match: str
) -> None:
    torch_eager, openvino = pretend(tmp_path, monkeypatch)
    monkeypatch.setattr(session, "Company", None)  # starting would fail differently
    with pytest.raises(InputError, match=match):
        run([torch_eager, dataclasses.replace(openvino, **changes)], results)


def test_the_naive_protocol_is_recorded_beside_the_others(
    tmp_path: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(naive, "_REST_S", 0.0)
    fine = pretend(tmp_path, monkeypatch)
    written = compare_ways(fine, protocol=QUICK, results=results, profile="quick", run_id="test")
    assert same(results.read("protocol"), written)
    assert [(r["way"], r["engine"]) for r in written] == [(way, each.engine) for way in naive.WAYS for each in fine]
    assert {r["session_id"] for r in written} == {written[0]["session_id"]}
    wrong = pretend(tmp_path, monkeypatch, openvino=[[0.0, 9.0]])
    with pytest.raises(EngineError, match="openvino none dense: wrong output"):
        compare_ways(wrong, protocol=QUICK, results=results, profile="quick", run_id="test")
    assert same(results.read("protocol"), written), "nothing is shown with an engine that is wrong"
    assert not Pretended.alive
