"""Throughput: every process on a core of its own, and the rates as pages show them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from codesign import machine
from codesign.answers.frames import frame
from codesign.answers.throughput import throughputs
from codesign.errors import InputError
from codesign.measure import Contender, Protocol
from codesign.measure.entrant import Entrant
from codesign.measure.throughput import run_throughput
from codesign.records import Results
from codesign.schema import validate

POINT: dict[str, Any] = {
    **{"model": "bert-tiny", "seed": 0, "scope": "all", "pruner": "magnitude", "block": "32x1", "sparsity": 0.8},
    **{"batch": 2, "seq": 16, "threads": 1, "format": "fp32", "isa": "native"},
    **{"block_sparsity": 0.8, "element_sparsity": 0.8},
}
HOW: dict[str, Any] = {"protocol": Protocol(rounds=2, calls=2, turn_s=0.1, engine_s=1.0), "profile": "quick"}


def test_each_process_has_a_core_of_its_own(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cores = machine.cpus()[:2]
    places: list[Any] = []
    prepare = Entrant.prepare
    monkeypatch.setattr(
        Entrant, "prepare", lambda entrant, *more: (places.append(entrant.cpus), prepare(entrant, *more))
    )
    results = Results("local", tmp_path)
    contender = Contender("torch-eager", POINT, tiny.checkpoint, None, tiny.expected, tiny.inputs)
    refused = dataclasses.replace(contender, engine="torch-bsr", point=POINT | {"block": "dense"})
    right, skipped = run_throughput([contender, refused], len(cores), results=results, run_id="r", **HOW)
    assert sorted(places) == sorted([[core] for core in cores] * 2)
    for record in (right, skipped):
        validate(record)
        assert record["processes"] == len(cores)
    assert len(right["sequences_per_s"]) == 2
    assert min(right["sequences_per_s"]) > 0
    assert right["max_abs_err"] < 1e-5
    assert (skipped["status"], skipped["sequences_per_s"]) == ("skipped", [])
    assert "not pruned" in skipped["reason"]
    assert len(results.read("throughput")) == 2


def test_more_processes_than_cores_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="threads"):
        run_throughput([], 1000, results=Results("local", tmp_path), run_id="r", **HOW)


def test_rates_stand_side_by_side_by_how_an_engine_is_run() -> None:
    common = POINT | {"session_id": "s", "control": None, "status": "ok", "flagged": False}
    one = common | {"engine": "tvm-bsr", "threads": 2, "samples_ns": [1e9, 2e9, 3e9]}
    alone = frame([one, one | {"engine": "openvino", "samples_ns": [4e9]}, one | {"batch": 8}])
    crowds = frame([common | {"engine": "tvm-bsr", "batch": 1, "processes": 2, "sequences_per_s": [3.0, 4.0, 5.0]}])
    rates = throughputs(alone, crowds, one)
    assert list(rates) == ["engine", "block", "1 process, batch 2", "1 process, batch 8", "2 processes, batch 1"]
    assert rates.to_numpy().tolist() == [
        ["our compiler, sparse", "32x1", "1.00", "4.00", "4.00"],
        ["OpenVINO", "dense", "0.50", "", ""],
    ]
    assert not len(throughputs(frame([]), frame([]), one))
    assert isinstance(throughputs(alone, frame([]), one), pd.DataFrame)
