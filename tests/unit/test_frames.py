"""Which records count: of one machine, at one point, not in doubt, and of a contender whatever weights it was given."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import MILLISECONDS, Memory, everything, latency, machine, pattern, session, stamp

from codesign.answers.claims import verdicts
from codesign.answers.frames import CONTENDER, Frames, doubts_of, frame
from codesign.answers.timings import timings
from codesign.errors import InputError
from codesign.measure.ratios import doubts, ratio
from codesign.records import Results
from codesign.study import places

PEER = ("onnxruntime", "none", "dense")
TIMES = MILLISECONDS | {PEER: 60.0}


def frames(records: list[dict[str, Any]], **point: Any) -> Frames:
    return Frames(Memory(records), **point)


def said(records: list[dict[str, Any]]) -> dict[str, str]:
    return {id: verdict.verdict for id, verdict in verdicts(frames(records)).items()}


def given_pruned(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the same records, dense engines given 32x1 weights of all linears instead of unpruned ones."""
    weights = {"scope": "all", "block": "32x1", "sparsity": 0.8, "pruner": "magnitude"}
    return [r | weights if "engine" in r and r["scope"] == "none" else r for r in records]


def flagged(records: list[dict[str, Any]], slower: tuple[str, ...] = (), **control: Any) -> list[dict[str, Any]]:
    """Return a session as the protocol would flag it, where some engines or shapes were slower in it than alone."""
    for record in records:
        if record["engine"] in slower or record["block"] in slower:
            record["samples_ns"] = [1.2 * ns for ns in record["samples_ns"]]
    reasons = doubts([*records, latency("torch-eager", "none", "dense", control.get("ms", 150.0), control="A/A")])
    return [record | {"flagged": bool(reasons), "flag_reason": "; ".join(reasons) or None} for record in records]


@pytest.mark.parametrize(
    ("engine", "stored"),
    [("openvino", ("none", "dense")), ("tvm-dense", ("none", "dense")), ("deepsparse", ("all", "4x1"))],
)
def test_an_engine_that_computes_zeros_is_the_same_whatever_the_weights(engine: str, stored: tuple[str, str]) -> None:
    row = frame([latency(engine, "all", "4x1", 1.0)]).iloc[0]
    assert tuple(row[CONTENDER]) == (engine, *stored)


def test_verdicts_do_not_depend_on_which_weights_dense_engines_had() -> None:
    before, after = (verdicts(frames(records)) for records in (everything(), given_pruned(everything())))
    assert {id: v.effect for id, v in before.items()} == {id: v.effect for id, v in after.items()}


def test_other_points_instruction_sets_and_machines_do_not_count() -> None:
    narrow = session(isa="avx2", session_id="narrow")
    denser = [record | {"session_id": "denser", "sparsity": 0.9} for record in given_pruned(session())]
    there = session(machine_id="two", session_id="there")
    kept = pattern("all", "32x1", 0.6) | {"machine_id": "two"}
    source = [kept, *there, *narrow, *denser, *session()]
    for isa, name in (("native", "session"), ("avx2", "narrow")):
        rows = frames(source, isa=isa).at("latency")
        ours = rows[rows["engine"].str.startswith("tvm-")]
        assert set(ours["session_id"]) == {name}
        assert set(rows["machine_id"]) == {"one"}  # which was timed last
        assert "denser" not in set(rows["session_id"])
    assert len(frames(source).at("pattern")) == 1  # what pruning left is the same everywhere
    assert frames(source).machine_id == "one"


def test_what_was_done_on_demand_failed_or_is_a_control_does_not_count() -> None:
    good = session()
    others = [latency("tvm-bsr", "all", "32x1", 1.0, status="failed", reason="wrong output")]
    others += [latency("tvm-bsr", "all", "32x1", 1.0, control="A/A"), latency("tvm-bsr", "all", "32x1", 1.0)]
    others[-1]["profile"] = "try"
    assert frames([*good, *others]).latencies == frames(good).latencies


def test_versions_of_a_measurement_are_not_compared() -> None:
    older = session(measurement=1, session_id="older")
    assert set(frames([*older, *session()]).at("latency")["session_id"]) == {"session"}
    with pytest.raises(InputError, match="measurement=2"):
        ratio(older[0], session()[0])


def test_without_any_record_there_is_nothing() -> None:
    empty = frames([])
    assert empty.machine_id is None
    assert len(empty.at("latency")) == len(empty.beside("all")) == len(empty.latencies) == 0


def test_dense_engines_are_those_of_the_session_of_the_shapes() -> None:
    later = [latency("openvino", "none", "dense", 99.0, session_id="later")]
    rows = frames([*session(), *later]).beside("all").set_index("engine")
    assert rows.loc["openvino", "session_id"] == "session"


def test_drift_between_sessions_cancels() -> None:
    times = {("openvino", "none", "dense"): 100.0, ("tvm-stock-default", "none", "dense"): 40_000.0}
    here = frames([*session(), *session(times, session_id="later")])  # later, the machine was at half its speed
    ratio = here.speedup(("tvm-stock-default", "none", "dense"), ("tvm-bsr", "attention", "32x1"))
    assert ratio.value == pytest.approx(500, rel=0.02)  # 20 000 / 40


@pytest.mark.parametrize(
    ("slower", "control", "doubted"),
    [
        ((), {}, set()),
        (("onnxruntime",), {}, {"onnxruntime none dense"}),
        (("4x1",), {}, {"tvm-bsr attention 4x1", "tvm-bsr all 4x1"}),
        (("openvino",), {}, {"all of them"}),
        (("torch-eager",), {}, {"all of them"}),
        ((), {"ms": 200.0}, {"all of them"}),
    ],
)
def test_who_is_in_doubt(slower: tuple[str, ...], control: dict[str, float], doubted: set[str]) -> None:
    records = flagged(session(TIMES), slower, **control)
    found = {f"{r['engine']} {r['scope']} {r['block']}" for r in records if doubts_of(r)}
    assert found == (
        {f"{r['engine']} {r['scope']} {r['block']}" for r in records} if "all of them" in doubted else doubted
    )


def test_a_disturbed_machine_puts_all_in_doubt() -> None:
    reason = "disturbed: too few undisturbed turns of openvino none dense, so that all of them count"
    assert all(map(doubts_of, session(TIMES, flagged=True, flag_reason=reason)))
    assert all(map(doubts_of, session(TIMES, flagged=True)))


def test_a_claim_is_inconclusive_where_it_compares_a_time_in_doubt() -> None:
    calm, doubted = said(session(TIMES)), said(flagged(session(TIMES), ("onnxruntime",)))
    assert calm["best-dense-32x1"] == "not supported"
    changed = {id for id, verdict in calm.items() if verdict != doubted[id]}
    assert changed == {"best-dense-32x1", "best-dense-4x1"}  # which dense engine is best is not known then
    shapes = said(flagged(session(TIMES), ("4x1",)))
    assert shapes["paper-2"] == shapes["tall-all"] == "inconclusive"
    assert shapes["credit-dense"] == "supported"


def test_every_contender_is_a_row_with_its_time_or_the_reason_why_there_is_none() -> None:
    refused = latency("torch-bsr", "all", "4x1", 1.0, status="skipped", reason="no such blocks", max_abs_err=None)
    measured = latency("onnxruntime", "all", "32x1", 60.0, peak_rss_bytes=565 * 2**20, disk_bytes=2**20)
    empty = {"peak_rss_bytes": None, "disk_bytes": None}
    control = latency("torch-eager", "all", "32x1", 150.0, control="A/A")
    rows = timings(frame([*session(**empty), refused, measured, control])).set_index("label")
    assert rows.loc["PyTorch, sparse", "median"] == rows.loc["PyTorch, sparse", "remark"] == "skipped: no such blocks"
    assert rows.loc["PyTorch, sparse", "largest_error"] == rows.loc["PyTorch, sparse", "over_dense"] == "-"
    assert tuple(rows.loc["ONNX Runtime", ["memory", "disk", "stored_block"]]) == ("565 MiB", "1 MiB", "dense")
    assert rows.loc["OpenVINO", "memory"] == "-"  # from before it was measured
    assert list(rows.loc["PyTorch eager", "remark"]) == ["", "A/A control"]
    assert rows.loc["OpenVINO", "gain"] == pytest.approx(52 / 50, rel=0.02)


@pytest.mark.parametrize("results", [places.results(name) for name in places.machines()], ids=lambda r: r.machine)
def test_committed_results_are_of_one_machine_each(results: Results) -> None:
    kinds = [path.stem for path in results.directory.glob("*.jsonl") if path.stem not in ("pattern", "accuracy")]
    assert len({record["machine_id"] for kind in kinds for record in results.read(kind)}) == 1
    assert Frames(results).machine["name"]


def test_only_folders_with_a_machine_are_machines(tmp_path: Path) -> None:
    Results("local", tmp_path).append(machine())
    (tmp_path / "notes").mkdir()
    assert places.machines(tmp_path) == []
    Results("xeon", tmp_path).append(stamp("machine") | machine())
    assert places.machines(tmp_path) == ["xeon"]
