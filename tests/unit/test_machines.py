"""Machines beside each other: each has its own records, its own verdicts, and a name that tells it from the others."""

import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import MILLISECONDS, Memory, accuracy, everything, latency, machine, session, stamp

from codesign import cli
from codesign.answers.claims import claims, verdicts
from codesign.answers.effects import text
from codesign.answers.frames import Frames
from codesign.answers.machines import description, documents, labels, losses, relative_times, say, table, worst
from codesign.answers.words import cpu_label
from codesign.commands import results as commands
from codesign.errors import MissingRecord
from codesign.machine import describe
from codesign.plot import machines as draw
from codesign.records import Results
from codesign.study import places

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
    """Committed results: of one machine, and of another on which nothing is as fast as there."""
    write(Results("here", tmp_path), everything())
    write(Results("slow", tmp_path), [machine(**XEON), *on("two", session(MILLISECONDS | {SHAPE: 51.0}))])
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
def test_a_machine_is_called_by_its_cpu_in_words_unless_it_has_a_name(cpu: str, isa: list[str], label: str) -> None:
    assert cpu_label({"cpu": cpu, "isa": isa}) == label
    assert cpu_label({"cpu": cpu, "isa": isa, "name": "Zen 9"}) == "Zen 9"


def test_each_machine_is_judged_by_its_own_records(root: Path) -> None:
    found = Frames(Results("here", root)).machines
    assert labels(found) == ["Test (AVX2)", "Intel Xeon (AVX-512)"]
    words = [{v.id: say(each, v) for v in verdicts(each).values()} for each in found]
    assert [each["credit-dense"] for each in words] == ["supported", "supported"]
    assert [each["paper-2"] for each in words] == ["supported", "not supported"]
    assert [each["paper-3"] for each in words] == ["supported", "not measured"]  # no tasks: not "here", either
    assert text(found[0], "slow.claim.paper-2.verdict") == "not supported"
    assert text(found[0], "travel.supported.paper-2") == "1 of 2"


def test_local_results_stand_before_the_committed_even_of_the_same_machine(root: Path) -> None:
    local = write(Results("local", root), [machine(), *session({k: v for k, v in MILLISECONDS.items() if k != SHAPE})])
    found = Frames(local).machines
    assert labels(found) == ["here", "Test (AVX2)", "Intel Xeon (AVX-512)"]
    said = [say(each, verdicts(each)["credit-dense"]) for each in found]
    assert said == ["not measured here", "supported", "supported"]


def test_a_machine_is_shown_once_and_two_with_one_name_are_told_apart(root: Path) -> None:
    write(Results("again", root), everything())
    assert len(Frames(Results("here", root)).machines) == 2
    write(Results("slows", root), [machine(**XEON | {"machine_id": "three"})])
    assert labels(Frames(Results("here", root)).machines) == [
        "Test (AVX2)",
        "Intel Xeon (AVX-512), slow",
        "Intel Xeon (AVX-512), slows",
    ]


def test_with_nothing_measured_there_is_still_a_column(tmp_path: Path) -> None:
    (found,) = Frames(Results("local", tmp_path)).machines
    assert {say(found, verdict) for verdict in verdicts(found).values()} == {"not measured here"}
    assert set(description([found])["here"]) <= {"unknown", "not measured", "-"}


def test_documents_and_table_say_the_same(root: Path) -> None:
    found = Frames(Results("here", root)).machines
    listed = {(row["id"], row["machine_id"]): row for row in documents(found)}
    assert list(listed) == [(id, name) for name in ("one", "two") for id in claims()]
    decided, missing = listed["credit-dense", "one"], listed["paper-3", "two"]
    low, high = decided["interval"]
    assert low < decided["effect"] < high
    assert decided["effect"] == pytest.approx(52 / 40, rel=0.02)
    assert (missing["effect"], missing["interval"], missing["verdict"]) == (None, None, "not measured")
    console = Console(width=200, record=True, file=sys.stderr)
    console.print(table(found))
    printed = " ".join(console.export_text().split())
    assert all(id in printed for id in claims())


def test_times_are_relative_to_the_best_dense_engine_of_the_machine() -> None:
    rounding = latency("openvino-bf16", "none", "dense", 1.0)
    skipping = latency("deepsparse", "all", "32x1", 1.0)
    found = relative_times(Frames(Memory([*session(), rounding, skipping])))
    assert list(found) == ["4x1", "32x1"]
    assert found["32x1"].value == pytest.approx(20 / 50, rel=0.02)  # OpenVINO, which our dense engine does not reach
    assert relative_times(Frames(Memory([]))) == relative_times(Frames(Memory([skipping]))) == {}
    drawing = draw({"a": found, "b": {}, "c": {"4x1": found["4x1"]}})
    assert len(drawing.panels) == 2
    assert "a: 4x1 0.60; 32x1 0.40" in drawing.alt
    assert draw({}).panels == []


def test_the_shape_for_all_machines_loses_least_where_it_loses_most(root: Path) -> None:
    swapped = {("tvm-bsr", "all", "4x1"): 20.0, ("tvm-bsr", "all", "32x1"): 24.0, ("openvino", "none", "dense"): 50.0}
    write(Results("slow", root), on("two", session(swapped, session_id="later")))
    found = Frames(Results("here", root)).machines
    loss = worst(losses(found))
    assert loss["32x1"].value == pytest.approx(1.2, rel=0.02)
    assert loss["4x1"].value == pytest.approx(1.5, rel=0.02)
    assert text(found[0], "travel.block") == "32x1"
    assert text(found[0], "travel.machines") == "2"
    with pytest.raises(MissingRecord):
        text(Frames(Memory(session())), "travel.block")


def ceiling(isa: str, rate: float | None, **changes: Any) -> dict[str, Any]:
    where = {"level": "registers", "isa": isa, "format": "fp32", "threads": 2, "unit": "GFLOP/s", "rate": rate}
    where |= {"target": "cpu", "bytes": 0, "samples": [] if rate is None else [rate], "governor": None}
    where |= {"reason": "no such unit" if rate is None else None, "load_average": 0.0}
    return stamp("ceiling", **where | changes)


def test_a_machine_is_described_by_what_it_is_and_what_it_reached(root: Path) -> None:
    peaks = [ceiling("avx2", 200.0), ceiling("avx512f", 1.0), ceiling("avx512f", 371.4), ceiling("amx", None)]
    peaks += [ceiling("avx512f", 9e3, threads=1), ceiling("avx512f", 9e3, machine_id="two")]
    peaks.append(ceiling("vnni", 9e3, format="int8"))
    said = description([Frames(Memory([*peaks, machine(l3_kib=0, name="one"), *session()]))])["one"]
    assert said["multiply-adds, float32"] == "371 GFLOP/s"
    assert said["reading L2"] == "not measured"
    assert (said["L2 cache of a core"], said["L3 cache"]) == ("1 MiB", "unknown")
    assert (said["fastest shape"], said["measured on"], said["which is"]) == ("32x1", "2026-01-02", "this code")
    older = description([Frames(Memory([machine(name="one"), *session(measurement=1)]))])["one"]
    assert older["which is"] == "older code"


def test_ceilings_are_compared_in_proportion(root: Path) -> None:
    here = [ceiling("avx2", 100.0), ceiling("avx512f", 190.0), ceiling("avx512f", 38.0, level="L2", unit="GB/s")]
    write(Results("here", root), here)
    write(Results("slow", root), on("two", [ceiling("avx2", 100.0), ceiling("avx512f", 102.0)]))
    frames = Frames(Results("here", root))
    assert text(frames, "ceiling.wider").startswith("1.90")
    assert text(frames, "ceiling.l2") == "0.20"  # bytes for an operation
    assert text(frames, "slow.ceiling.wider").startswith("1.02")
    with pytest.raises(MissingRecord):
        text(frames, "slow.ceiling.l2")


def test_one_claim_alone_says_what_judges_it_anew(root: Path) -> None:
    found = Frames(Results("here", root)).machines
    rows = documents(found, "kernel-tall")
    assert [(row["id"], row["machine_id"]) for row in rows] == [("kernel-tall", "one"), ("kernel-tall", "two")]
    assert {row["command"] for row in rows} == {"make reproduce PROFILE=full"}
    assert rows[0]["minutes"] > 60
    console = Console(width=200, record=True, file=sys.stderr)
    console.print(table(found, "kernel-tall"))
    printed = " ".join(console.export_text().split())
    assert "judged anew by make reproduce PROFILE=full: about" in printed
    assert "paper-1a" not in printed


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    """Local results of this machine and of another, and a place for committed ones."""
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    monkeypatch.setattr(commands, "RESULTS_ROOT", tmp_path / "book")
    monkeypatch.setattr(commands, "REPOSITORY", tmp_path)
    monkeypatch.setattr(commands, "Results", lambda name, folder=tmp_path / "book": Results(name, folder))
    local, here = places.results("local"), describe().machine_id
    local.tuning("cpu-2t").mkdir(parents=True)
    (local.tuning("cpu-2t") / "database_workload.json").touch()
    known = [machine(machine_id=here), *on(here, session()), latency("openvino", "none", "dense", 1.0)]
    tried = latency("tvm-bsr", "all", "7x5", 30.0, machine_id=here, profile="try")
    return write(local, [*known, tried])


def test_a_machine_is_added_as_one_folder(measured: Results, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["add-machine", "zen9-avx2", "--name", "Zen 9", "--hides", "AMX"]) == 0
    assert "RESULTS=zen9-avx2" in capsys.readouterr().out
    added = Results("zen9-avx2", measured.root.parent / "book")
    (about,) = added.read("machine")
    assert (about["name"], about["hides"]) == ("Zen 9", "AMX")
    assert len(added.read("latency")) == len(session()), "not what was tried, nor what another machine measured"
    assert (added.tuning("cpu-2t") / "database_workload.json").exists()
    assert "blocks" in (added.directory / places.PARAMETERS).read_text()
    added.append(accuracy("all", "32x1", 0.8, profile="full"))
    assert cli.main(["add-machine", "zen9-avx2", "--name", "Zen 9, again"]) == 0
    assert len(added.read("accuracy")) == 1, "trained by another profile"
    assert [record["name"] for record in added.read("machine")] == ["Zen 9, again"]


def test_a_folder_of_another_machine_is_not_replaced(measured: Results, capsys: pytest.CaptureFixture[str]) -> None:
    write(Results("zen4-avx512", measured.root.parent / "book"), [machine(machine_id="two", name="Zen 4")])
    assert cli.main(["add-machine", "zen4-avx512", "--name", "Zen 9"]) == 2
    assert cli.main(["add-machine", "Zen 9", "--name", "Zen 9"]) == 2
    assert cli.main(["add-machine", "zen9", "--name", "Zen 9", "--profile", "full"]) == 1
    said = capsys.readouterr().err
    assert "one that is not another machine's (Zen 4)" in said
    assert "make reproduce PROFILE=full" in said
