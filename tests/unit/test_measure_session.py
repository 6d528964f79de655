"""Sessions with real engines in real worker processes."""

import dataclasses
import json
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest

from codesign import machine
from codesign.engines import tvm
from codesign.engines.client import WorkerDied
from codesign.errors import InputError
from codesign.measure import Contender, Protocol, run_session, session
from codesign.measure.company import Look
from codesign.measure.entrant import Entrant
from codesign.measure.ratios import process_spread
from codesign.records import Results

QUICK = Protocol(rounds=2, calls=2, turn_s=0.1, engine_s=1.0)
POINT = {
    **{"model": "bert-tiny", "seed": 1, "scope": "none", "pruner": "none", "block": "dense", "sparsity": 0.0},
    **{"batch": 2, "seq": 16, "threads": 1, "format": "fp32", "block_sparsity": 0.0, "element_sparsity": 0.0},
    "isa": "native",
}


class Quiet:
    """Stands in for the probe: a machine that nothing ever disturbs."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def prepare(self) -> None:
        pass

    def look(self) -> Look:
        return Look(None, (100.0,) * self.threads)

    def __enter__(self) -> "Quiet":
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "Company", Quiet)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results("local", tmp_path / "results")


def contender(tiny, engine: str, **changes) -> Contender:
    return Contender(engine, POINT, tiny.checkpoint, None, tiny.expected, tiny.inputs, **changes)


def references(tiny) -> list[Contender]:
    return [contender(tiny, engine) for engine in session.REFERENCES]


def run(contenders: list[Contender], results: Results):
    return run_session(contenders, protocol=QUICK, results=results, profile="smoke", run_id="test", progress=False)


def journals(results: Results) -> list[list[dict]]:
    files = sorted((results.directory / "interrupted").glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
    return [[json.loads(line) for line in path.read_text().splitlines()] for path in files]


def test_a_session_from_end_to_end(tiny, results, tmp_path, monkeypatch) -> None:
    """Two references and their control; a wrong output, an engine that raises, one that is not installed."""
    monkeypatch.setattr(tvm, "missing", lambda package: f"no {package}")
    made_up = iter([["the first attempt"], ["the second attempt"]])
    monkeypatch.setattr(session, "doubts", lambda records: next(made_up))
    np.save(tmp_path / "other.npy", np.load(tiny.expected) + 0.5)
    wrong = dataclasses.replace(contender(tiny, "openvino"), expected=tmp_path / "other.npy")
    raising = dataclasses.replace(contender(tiny, "openvino"), checkpoint=tmp_path)
    records = run([*references(tiny), wrong, raising, contender(tiny, "tvm-bsr")], results)

    assert results.read("latency") == records
    assert [(r["engine"], r["status"], r["control"]) for r in records] == [
        ("torch-eager", "ok", None),
        ("openvino", "ok", None),
        ("openvino", "failed", None),
        ("openvino", "failed", None),
        ("tvm-bsr", "skipped", None),
        ("torch-eager", "ok", "A/A"),
    ]
    spread = round(process_spread(records), 4)
    assert spread >= 1
    for record in records:
        assert record["session_id"] == records[0]["session_id"]
        assert record["machine_id"] == machine.describe().machine_id
        assert POINT.items() <= record.items()
        if record["status"] == "ok":
            assert record["max_abs_err"] < 1e-5
            assert record["rounds"] == [2, 2]
            assert len(record["warmup_ns"]) == 2 * record["settings"]["discard"]
            assert len(record["solo_ns"]) == 4
            assert record["company"] == {"best": [None, 100.0], "turns": [[None, 100.0]] * 2, "disturbed": []}
            assert record["disturbed_ns"] == record["disturbed_rounds"] == record["disturbed_solo_ns"] == []
            assert record["disturbed_share"] == 0.0
            assert record["process_spread"] == spread
            assert record["settings"]["cpus"] == machine.cpus(1)
            assert record["settings"]["max_abs_err_allowed"] == 0.01
            assert record["peak_rss_bytes"] > record["disk_bytes"] > 0
        else:
            assert record["samples_ns"] == record["solo_ns"] == record["warmup_ns"] == []
    reasons = [r["reason"] for r in records[2:5]]
    assert "max abs error 0.5" in reasons[0]
    assert "could not convert: codesign.errors.InputError: model=" in reasons[1]
    assert reasons[2] == "no tvm"

    # repeated once, and kept with the flag; the first attempt is kept apart
    assert {(r["flagged"], r["flag_reason"]) for r in records} == {(True, "the second attempt")}
    (first,) = journals(results)
    assert first[0]["session_id"] != records[0]["session_id"]
    assert first[-1] == {"flag_reasons": ["the first attempt"]}


def test_an_interrupted_session_is_kept_apart_and_started_again(tiny, results, monkeypatch) -> None:
    """A worker killed in the second round takes the session with it, and leaves no record."""
    monkeypatch.setattr(session, "doubts", lambda records: [])
    take_turn, workers = Entrant.take_turn, []

    def die_in_the_second_round(entrant: Entrant, times) -> list[int]:
        workers.append(entrant.worker.pid)
        if times.rounds:
            os.kill(entrant.worker.pid, signal.SIGKILL)
        return take_turn(entrant, times)

    with monkeypatch.context() as patch:
        patch.setattr(Entrant, "take_turn", die_in_the_second_round)
        with pytest.raises(WorkerDied, match=r"(?s)died while asked to run \(killed by SIGKILL\).*stderr"):
            run(references(tiny), results)
    assert len(set(workers)) == 3
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert results.read("latency") == []
    (interrupted,) = journals(results)
    assert [len(line["samples_ns"]) for line in interrupted if "samples_ns" in line] == [2, 2, 2]
    assert [len(line["solo_ns"]) for line in interrupted if "solo_ns" in line] == [4, 4, 4]

    records = run(references(tiny), results)
    assert len(results.read("latency", flagged=False)) == len(records) == 3
    assert records[0]["session_id"] != interrupted[0]["session_id"]
    assert journals(results) == [interrupted]


def test_what_cannot_be_compared_is_refused_before_anything_starts(tiny, results, tmp_path, monkeypatch) -> None:
    def refuse(contenders: list[Contender], match: str) -> None:
        with pytest.raises(InputError, match=match):
            run(contenders, results)

    monkeypatch.setattr(session, "_Session", None)  # starting would fail differently
    torch_eager, openvino = references(tiny)
    refuse([torch_eager], "openvino among them")
    refuse([torch_eager, openvino, dataclasses.replace(openvino, inputs=tmp_path / "no.npz")], "inputs=.*existing")
    refuse([torch_eager, dataclasses.replace(openvino, point={**POINT, "threads": 4096})], "threads=4096")
    refuse([torch_eager, openvino, dataclasses.replace(openvino, engine="openvin")], "did you mean openvino")
    monkeypatch.setattr(machine, "_CPUS", [0, 1])
    refuse([torch_eager, dataclasses.replace(openvino, point={**POINT, "threads": 2})], "the same number")


class Answer:
    """Stands in for a worker whose engine computes what no engine here does."""

    def __init__(self, output: np.ndarray) -> None:
        self._output = output

    def output(self) -> tuple[np.ndarray, int]:
        return self._output, 1_000_000

    def peak_rss_bytes(self) -> int:
        return 1

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (np.full((2, 16, 128), np.nan, np.float32), "not finite"),
        (np.zeros((2, 16), np.float32), r"shape \(2, 16\)"),
        (np.full((2, 16, 128), 9, np.float32), "wrong output: max abs error"),
    ],
    ids=["nan", "shape", "value"],
)
def test_a_wrong_output_is_a_failure_and_ends_the_worker(tiny, output: np.ndarray, reason: str) -> None:
    entrant = Entrant(contender(tiny, "torch-eager"))
    entrant.worker = Answer(output)
    entrant.check()
    assert (entrant.status, entrant.worker) == ("failed", None)
    assert re.search(reason, entrant.reason)
