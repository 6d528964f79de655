"""Machines beside each other: each has its own records, its own verdicts, and a name that tells it from the others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import MILLISECONDS, Memory, everything, latency, machine, session, stamp

from codesign.answers.words import cpu_label
from codesign.records import RESULTS_ROOT, Results
from codesign.study import places
from codesign.study.claims import CLAIMS
from codesign.study.described import description, machine_numbers, relative_times
from codesign.study.evidence import TRAVELS, Evidence
from codesign.study.machines import Machine, machines, rows, table

SHAPE = ("tvm-bsr", "attention", "32x1")
XEON = {"machine_id": "two", "cpu": "Intel(R) Xeon(R) Processor @ 2.10GHz", "isa": ["avx2", "avx512f"]}


def write(results: Results, records: list[dict[str, Any]]) -> Results:
    for record in records:
        results.append(record)
    return results


def on(machine_id: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record | {"machine_id": machine_id} for record in records]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Committed results: the reference, and another machine on which nothing is as fast as there."""
    write(Results("xeon", tmp_path), everything())
    slow = [machine(**XEON), *on("two", session(MILLISECONDS | {SHAPE: 51.0}))]
    write(Results("slow", tmp_path), slow)
    return tmp_path


@pytest.mark.parametrize(
    ("cpu", "isa", "label"),
    [
        ("Intel(R) Xeon(R) Processor @ 2.10GHz", ["avx2", "avx512f"], "Intel Xeon (AVX-512)"),
        ("Intel(R) Core(TM) i7-1165G7 CPU @ 2.80GHz", ["avx2"], "Intel Core i7-1165G7 (AVX2)"),
        ("AMD EPYC 9B45 128-Core Processor", ["sse4_2", "avx2", "avx512f"], "AMD EPYC 9B45 (AVX-512)"),
        ("Neoverse-V2", [], "Neoverse-V2"),
    ],
)
def test_a_machine_is_called_by_its_cpu_in_words(cpu: str, isa: list[str], label: str) -> None:
    assert cpu_label({"cpu": cpu, "isa": isa}) == label


def test_each_machine_is_judged_by_its_own_records(root: Path) -> None:
    here, there = machines(Results("xeon", root), root)
    assert (here.label, there.label) == ("Test (AVX2)", "Intel Xeon (AVX-512)")
    assert {record["machine_id"] for record in there.evidence.records("latency")} == {"two"}
    verdicts = [{v.id: machine.say(v) for v in machine.verdicts} for machine in (here, there)]
    assert [each["credit-dense"] for each in verdicts] == ["supported", "supported"]
    assert [each["paper-2"] for each in verdicts] == ["supported", "not supported"]
    assert [each["paper-3"] for each in verdicts] == ["supported", "not measured"]  # no tasks: not "here", either


def test_local_results_stand_before_the_reference_even_of_the_same_machine(root: Path) -> None:
    local = write(Results("local", root), [machine(), *session({k: v for k, v in MILLISECONDS.items() if k != SHAPE})])
    found = machines(local, root)
    assert [each.label for each in found] == ["here", "Test (AVX2)", "Intel Xeon (AVX-512)"]
    said = [{v.id: each.say(v) for v in each.verdicts}["credit-dense"] for each in found]
    assert said == ["not measured here", "supported", "supported"]


def test_a_machine_that_is_the_reference_is_not_shown_twice(root: Path) -> None:
    write(Results("again", root), everything())
    assert len(machines(Results("xeon", root), root)) == 2


def test_two_machines_with_one_name_are_told_apart(root: Path) -> None:
    write(Results("slows", root), [machine(**XEON | {"machine_id": "three"})])
    labels = [each.label for each in machines(Results("xeon", root), root)]
    assert labels == ["Test (AVX2)", "Intel Xeon (AVX-512), xeon", "Intel Xeon (AVX-512), xeons"]


def test_with_nothing_measured_there_is_still_a_column(tmp_path: Path) -> None:
    (found,) = machines(Results("local", tmp_path), tmp_path)
    assert found.label == "here"
    assert {found.say(verdict) for verdict in found.verdicts} == {"not measured here"}
    assert {texts[0] for _, texts in description([found])} <= {"unknown", "not measured", "-"}


def test_rows_and_table_say_the_same(root: Path) -> None:
    found = machines(Results("xeon", root), root)
    listed = rows(found)
    assert [(row["id"], row["machine_id"]) for row in listed] == [(c.id, m) for m in ("one", "two") for c in CLAIMS]
    (decided,) = (row for row in listed if (row["id"], row["machine_id"]) == ("credit-dense", "one"))
    low, high = decided["interval"]
    assert low < decided["effect"] < high
    assert decided["effect"] == pytest.approx(52 / 40, rel=0.02)
    (missing,) = (row for row in listed if (row["id"], row["machine_id"]) == ("paper-3", "two"))
    assert (missing["effect"], missing["interval"], missing["verdict"]) == (None, None, "not measured")
    console = Console(width=200, record=True, file=sys.stderr)
    console.print(table(found))
    text = " ".join(console.export_text().split())
    assert all(claim.id in text for claim in CLAIMS)
    assert "Intel Xeon (AVX-512)" in text


def test_times_are_relative_to_the_best_dense_engine_of_the_machine() -> None:
    rounding = latency("openvino-bf16", "none", "dense", 1.0)
    skipping = latency("deepsparse", "all", "32x1", 1.0)
    found = relative_times(Evidence(Memory([*session(), rounding, skipping])), "all")
    assert list(found) == ["4x1", "32x1"]
    assert found["32x1"].value == pytest.approx(20 / 50, rel=0.02)  # OpenVINO, which our dense engine does not reach
    assert found["32x1"].low < found["32x1"].value < found["32x1"].high
    assert relative_times(Evidence(Memory([])), "all") == {}
    assert relative_times(Evidence(Memory([skipping])), "all") == {}


def ceiling(isa: str, rate: float | None, **changes: Any) -> dict[str, Any]:
    where = {"level": "registers", "isa": isa, "format": "fp32", "threads": 2, "unit": "GFLOP/s", "rate": rate}
    where |= {"target": "cpu", "bytes": 0, "samples": [] if rate is None else [rate], "governor": None}
    where |= {"reason": "no such unit" if rate is None else None, "load_average": 0.0}
    return stamp("ceiling", **where | changes)


def test_a_machine_is_described_by_what_it_is_and_what_it_reached() -> None:
    peaks = [ceiling("avx2", 200.0), ceiling("avx512f", 1.0), ceiling("avx512f", 371.4), ceiling("amx", None)]
    others = [ceiling("avx512f", 9e3, threads=1), ceiling("avx512f", 9e3, machine_id="two")]
    others.append(ceiling("vnni", 9e3, format="int8"))
    found = Machine("one", Evidence(Memory([*peaks, *others, machine(l3_kib=0), *session()])))
    bare = Machine("two", Evidence(Memory([machine()])))
    said = dict(description([found, bare]))
    assert said["multiply-adds, float32"] == ["371 GFLOP/s", "not measured"]
    assert said["reading L2"] == ["not measured", "not measured"]
    assert said["L2 cache of a core"] == ["1 MiB", "1 MiB"]
    assert said["L3 cache"] == ["unknown", "32 MiB"]
    assert said["L1 data cache of a core"][0] == "48 KiB"
    assert said["fastest shape"] == ["32x1", "not measured"]
    assert said["measured on"] == ["2026-01-02", "not measured"]
    assert said["which is"] == ["this code", "-"]
    old = Machine("old", Evidence(Memory([machine(), *session(code="0123456789ab")])))
    assert dict(description([old]))["which is"] == ["older code"]


@pytest.mark.parametrize("results", [places.results(name) for name in places.machines()], ids=lambda r: r.machine)
def test_committed_results_are_of_one_machine_each(results: Results) -> None:
    kinds = [path.stem for path in results.directory.glob("*.jsonl") if path.stem not in TRAVELS]
    assert len({record["machine_id"] for kind in kinds for record in results.read(kind)}) == 1
    assert Evidence(results).machine["cpu"]


def test_ceilings_are_compared_in_proportion_and_other_machines_go_by_their_folder(root: Path) -> None:
    here = [ceiling("avx2", 100.0), ceiling("avx512f", 190.0), ceiling("avx512f", 38.0, level="L2", unit="GB/s")]
    write(Results("xeon", root), here)
    write(Results("slow", root), on("two", [ceiling("avx2", 100.0), ceiling("avx512f", 102.0)]))
    values = dict(machine_numbers(machines(Results("xeon", root), root)))
    assert values["ceiling.wider"].startswith("1.90")
    assert values["ceiling.l2"] == "0.20"  # bytes for an operation
    assert values["xeon.ceiling.wider"].startswith("1.02")
    assert "xeon.ceiling.l2" not in values
    assert values["xeon.claim.paper-2.verdict"] == "not supported"
    assert values["xeon.claim.paper-3.verdict"] == "not measured"
    assert "xeon.claim.paper-3.effect" not in values
    assert "claim.paper-2.verdict" not in values  # those of the first machine are its own numbers


def test_folders_beside_the_results_are_no_machines(tmp_path: Path) -> None:
    assert places.elsewhere(tmp_path) == []
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "notes.txt").touch()
    assert places.elsewhere(tmp_path) == []
    assert places.elsewhere(RESULTS_ROOT)
