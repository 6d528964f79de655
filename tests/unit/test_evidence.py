"""Which contender a record is about, whatever weights it was given; and contenders as rows of text."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import Memory, everything, latency, machine, pattern, point, session, task

from codesign.study.claims import evaluate
from codesign.study.evidence import Evidence, key_of
from codesign.study.numbers import numbers
from codesign.study.swept import around
from codesign.study.timings import contenders


def given_pruned(records: list[dict]) -> list[dict]:
    """Return the same records, dense engines given 32x1 weights of all linears instead of unpruned ones."""
    weights = {"scope": "all", "block": "32x1", "sparsity": 0.8, "pruner": "magnitude"}
    dense = ((record, "engine" in record and record["scope"] == "none") for record in records)
    return [record | weights if is_dense else record for record, is_dense in dense]


@pytest.mark.parametrize(
    ("engine", "key"),
    [("openvino", ("none", "dense")), ("tvm-dense", ("none", "dense")), ("deepsparse", ("all", "4x1"))],
)
def test_an_engine_that_computes_zeros_is_the_same_whatever_the_weights(engine: str, key: tuple[str, str]) -> None:
    assert key_of(latency(engine, "all", "4x1", 1.0)) == (engine, *key)
    assert key_of({"scope": "all", "block": "4x1"}) == ("", "all", "4x1")  # a kind without an engine


def test_verdicts_and_numbers_do_not_depend_on_which_weights_dense_engines_had() -> None:
    before, after = everything(), given_pruned(everything())
    assert [verdict.effect for verdict in evaluate(Evidence(Memory(after)))] == [
        verdict.effect for verdict in evaluate(Evidence(Memory(before)))
    ]
    old, new = numbers(Memory(before)), numbers(Memory(after))
    assert new.items() >= old.items()
    assert all(key.startswith("crossover.") for key in new.keys() - old.keys())


def test_dense_engines_at_another_sparsity_belong_to_another_point() -> None:
    other = [record | {"session_id": "other", "sparsity": 0.9} for record in given_pruned(session())]
    evidence = Evidence(Memory([*given_pruned(session()), *other]))
    assert {record["session_id"] for record in evidence.records("latency")} == {"session"}


def test_what_we_compiled_for_another_instruction_set_belongs_to_another_point() -> None:
    narrow = session(isa="avx2", session_id="narrow")
    source = Memory([pattern("all", "32x1", 0.6), *session(), *narrow])
    for isa, name in (("native", "session"), ("avx2", "narrow")):
        evidence = Evidence(source, isa=isa)
        ours = [record for record in evidence.records("latency") if record["engine"].startswith("tvm-")]
        assert {record["session_id"] for record in ours} == {name}
        assert {record["session_id"] for record in evidence.records("latency")} == {"session", "narrow"}
        assert evidence.records("pattern")
        swept = around(given_pruned(source.read("latency")), point("all", "32x1") | {"isa": isa})
        assert {record["session_id"] for record in swept if record["engine"] == "tvm-bsr"} == {name}


def test_records_of_another_machine_are_no_evidence() -> None:
    """Neither in a comparison nor in a sweep; what pruning left of the weights is the same everywhere."""
    here, there = session(), session(machine_id="two", session_id="there")
    swept = [latency("openvino", "all", "32x1", 9.0, batch=4, session_id="batch", machine_id="two")]
    swept.append(latency("tvm-bsr", "all", "32x1", 3.0, batch=4, session_id="batch", machine_id="two"))
    kept = pattern("all", "32x1", 0.6) | {"machine_id": "two"}
    evidence = Evidence(Memory([machine(machine_id="two", cpu="Other CPU"), machine(), kept, *swept, *there, *here]))
    assert evidence.machine_id == evidence.machine["machine_id"] == "one"  # that was timed last
    assert {record["machine_id"] for record in evidence.records("latency")} == {"one"}
    assert {record["machine_id"] for record in evidence.latencies.values()} == {"one"}
    assert len(evidence.records("pattern")) == 1
    assert not any(key.startswith("sweep.") for key in numbers(evidence.results))
    alone = Evidence(Memory([*here, machine()]))
    assert [v.effect for v in evaluate(evidence)] == [v.effect for v in evaluate(alone)]


def test_without_any_record_there_is_no_machine() -> None:
    assert Evidence(Memory([])).machine_id is None
    assert Evidence(Memory([])).records("latency") == []


def test_tasks_of_a_dense_encoder_are_found_whatever_weights_it_was_compiled_from() -> None:
    records = [task("all", "32x1", "a", 3, engine="tvm-dense"), task("all", "32x1", "b", 2)]
    evidence = Evidence(Memory(records))
    assert [t["digest"] for t in evidence.tasks("tvm-dense", "none", "dense")] == ["a"]


def test_every_contender_is_a_row_with_its_time_or_the_reason_why_there_is_none() -> None:
    refused = latency("torch-bsr", "all", "4x1", 1.0, status="skipped", reason="no such blocks", max_abs_err=None)
    measured = latency("onnxruntime", "all", "32x1", 60.0, peak_rss_bytes=565 * 2**20, disk_bytes=2**20)
    control = latency("torch-eager", "all", "32x1", 150.0, control="A/A")
    rows = {row["engine"]: row for row in contenders([*session(), refused, measured, control])}
    assert rows["PyTorch, sparse"]["median"] == "skipped: no such blocks"
    assert rows["PyTorch, sparse"]["error"] == rows["PyTorch, sparse"]["gain"] == "-"
    assert (rows["ONNX Runtime"]["memory"], rows["ONNX Runtime"]["disk"]) == ("565 MiB", "1 MiB")
    assert rows["ONNX Runtime"]["block"] == "dense"
    assert rows["OpenVINO"]["memory"] == "-"  # from before it was measured
    assert len(contenders([*session(), control])) == len(session())
