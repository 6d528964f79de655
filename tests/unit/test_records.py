import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from codesign import records
from codesign.errors import InputError, MissingRecord, RecordError
from codesign.records import Results
from codesign.schema import KINDS, POINT, validate
from codesign.schema.parts import Stamp

POINT_FIELDS = {
    "model": "bert-tiny",
    "seed": 0,
    "scope": "attention",
    "pruner": "magnitude",
    "block": "32x1",
    "sparsity": 0.8,
    "batch": 1,
    "seq": 16,
    "threads": 2,
    "format": "fp32",
    "isa": "native",
}


def latency(**changes: Any) -> dict[str, Any]:
    fields = {
        "engine": "torch-eager",
        "session_id": "s1",
        "samples_ns": [10, 11, 12],
        "rounds": [2, 1],
        "warmup_ns": [20],
        "solo_ns": [10],
        "max_abs_err": 1e-6,
        "block_sparsity": 0.8,
        "element_sparsity": 0.8,
        "status": "ok",
        "reason": None,
        "settings": {},
        "control": None,
        "flagged": False,
        "flag_reason": None,
    }
    return records.stamp("latency", profile="quick", run_id="r1", machine_id="m1") | POINT_FIELDS | fields | changes


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results("local", tmp_path)


def test_a_record_from_before_a_field_reads_as_what_it_was(results: Results) -> None:
    old = latency()
    assert "process_spread" not in old
    results.append(old)
    results.append(latency(process_spread=1.5))
    assert [record["process_spread"] for record in results.read("latency")] == [1.0, 1.5]
    assert len(results.read("latency", process_spread=1.0)) == len(results.read("latency", process_spread=1.5)) == 1


def test_what_is_written_is_read_back(results: Results) -> None:
    written = latency(engine="openvino")
    results.append(written)
    results.append(latency())
    assert [record["engine"] for record in results.read("latency")] == ["openvino", "torch-eager"]
    (found,) = results.read("latency", engine="openvino", block="32x1")
    assert written.items() <= found.items()
    assert results.path("latency").read_text().startswith('{"schema_version": 2, "kind": "latency"')


def test_machines_and_targets_have_their_own_files(tmp_path: Path) -> None:
    Results("local", tmp_path).append(latency())
    there = Results("xeon", tmp_path)
    assert there.read("latency") == []
    assert there.tuning("x86-64-v3-2t") == tmp_path / "xeon" / "tuning" / "x86-64-v3-2t"
    assert Results("local").path("latency") == records.RESULTS_ROOT / "local" / "latency.jsonl"
    assert Results("local").local
    assert not there.local


def test_one_returns_the_newest(results: Results) -> None:
    results.append(latency(run_id="new", started_at="2026-11-24T00:00:00+00:00"))
    results.append(latency(run_id="old", started_at="2026-11-23T00:00:00+00:00"))
    assert results.one("latency", engine="torch-eager")["run_id"] == "new"
    results.append(latency(run_id="as new", started_at="2026-11-24T00:00:00+00:00"))
    assert results.one("latency")["run_id"] == "as new", "of equally new records the last one written"


def test_a_missing_record_names_what_makes_it_and_a_misspelt_question_is_none(results: Results) -> None:
    with pytest.raises(MissingRecord, match=r"no latency with block='4x1'.*notebook 04_latency makes it"):
        results.one("latency", block="4x1")
    with pytest.raises(InputError, match="filter='blok'"):
        results.read("latency", blok="4x1")
    with pytest.raises(InputError, match="kind='latencies' is not valid: expected one of machine, pattern"):
        results.read("latencies")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"block": "32*1"}, "field 'block'"),
        ({"block": "0x4"}, "field 'block'"),
        ({"sparsity": 1.0}, "field 'sparsity'"),
        ({"threads": True}, "field 'threads'"),
        ({"scope": "everything"}, "field 'scope'"),
        ({"format": "fp64"}, "field 'format'"),
        ({"disk_bytes": -1}, "field 'disk_bytes'"),
        ({"process_spread": 0.9}, "field 'process_spread'"),
        ({"samples_ns": [10, "11", 12]}, r"field 'samples_ns\.1'"),
        ({"schema_version": 1}, "field 'schema_version'"),
        ({"kind": "speed"}, "field 'kind' is 'speed'"),
        ({"max_abs_err": None}, "without a correctness value is refused"),
        ({"max_abs_err": None, "status": "failed", "reason": "wrong"}, "without a correctness value is refused"),
        ({"samples_ns": [], "rounds": []}, "status 'ok' without a sample"),
        ({"rounds": [2, 2]}, "does not add up"),
        ({"status": "skipped"}, "field 'reason'"),
        ({"isa": "avx3"}, "field 'isa'"),
        ({"max_abs_err": float("nan")}, r"field .max_abs_err.|NaN"),
    ],
)
def test_a_record_that_breaks_the_schema_is_not_written(
    results: Results, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecordError, match=message):
        results.append(latency(**changes))
    assert not results.directory.exists()


def test_a_missing_field_is_named_and_a_skip_needs_no_timing() -> None:
    empty: dict[str, Any] = {"samples_ns": [], "rounds": [], "warmup_ns": [], "solo_ns": [], "max_abs_err": None}
    validate(latency(**empty, status="skipped", reason="not installed"))
    record = latency()
    del record["engine"]
    with pytest.raises(RecordError, match="field 'engine': Field required"):
        validate(record)


def test_records_from_before_the_machine_was_watched_can_be_read_and_new_ones_must_add_up() -> None:
    company = {"best": [100.0, None], "turns": [[90.0, None]] * len(latency()["rounds"]), "disturbed": [[40.0, None]]}
    watched = {"disturbed_ns": [1, 2], "disturbed_rounds": [2], "disturbed_share": 0.5, "company": company}
    validate(latency(**watched))
    with pytest.raises(RecordError, match="'disturbed_rounds': does not add up"):
        validate(latency(**watched | {"disturbed_rounds": [3]}))
    with pytest.raises(RecordError, match="field 'company': needs a pair of rates for each of 'rounds'"):
        validate(latency(**watched | {"company": company | {"turns": []}}))
    with pytest.raises(RecordError, match=r"company\.turns"):
        validate(latency(**watched | {"company": company | {"turns": [[1.0]]}}))


def test_every_kind_that_is_about_a_model_carries_its_point() -> None:
    of_models = [
        kind for name, kind in KINDS.items() if name not in ("machine", "ceiling", "kernel", "variant", "soak")
    ]
    assert all(set(POINT) <= kind.model_fields.keys() for kind in of_models)


def test_a_torn_line_of_a_committed_file_is_reported_by_file_and_line(tmp_path: Path) -> None:
    committed = Results("xeon", tmp_path)
    committed.append(latency())
    path = committed.path("latency")
    path.write_bytes(torn := path.read_bytes() + b'{"schema_version"')
    for use in (lambda: committed.read("latency"), lambda: committed.append(latency())):
        with pytest.raises(RecordError, match=r"latency\.jsonl:2: torn line"):
            use()
    assert path.read_bytes() == torn


@settings(max_examples=25)
@example(share=1.0)
@given(share=st.floats(0, 1))
def test_a_run_that_was_killed_while_it_wrote_goes_on(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    """A record that lacks only the end of its line is kept."""
    results = Results("local", tmp_path_factory.mktemp("torn"))
    results.append(latency())
    path = results.path("latency")
    whole = path.read_bytes()
    cut = max(1, round(share * (len(whole) - 1)))
    path.write_bytes(whole + whole[:cut])
    there = 2 if cut == len(whole) - 1 else 1
    assert len(results.read("latency")) == there
    results.append(latency())
    assert len(results.read("latency")) == there + 1
    assert path.read_bytes().startswith(whole)


def test_a_full_disk_leaves_no_part_of_a_record(results: Results) -> None:
    results.append(latency())
    path = results.path("latency")
    whole = path.read_bytes()
    # in a process of its own: no limit on the size of files can be taken back, and other tests write large ones
    script = (
        "import json, resource, signal, sys; from pathlib import Path; from codesign.records import Results;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(whole) + 100},) * 2);"
        "Results('local', Path(sys.argv[1])).append(json.load(sys.stdin))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path.parents[1])],
        input=json.dumps(latency()),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "OSError" in done.stderr
    assert path.read_bytes() == whole
    results.append(latency())
    assert len(results.read("latency")) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", "not a JSON object"),
        ("[]", "not a JSON object"),
        ("", "not a JSON object"),
        ('{"kind": "latency"}', "Field required"),
        (json.dumps({"kind": "speed"}), "field 'kind' is 'speed'"),
        (json.dumps({"kind": ["latency"]}), r"field 'kind' is \['latency'\]"),
        ("[" * 10_000, "not a JSON object"),
        ('{"kind": "latency", "seed": ' + "9" * 5000 + "}", "not a JSON object"),
    ],
)
def test_a_bad_line_is_reported_by_file_and_line(results: Results, line: str, message: str) -> None:
    results.append(latency())
    with results.path("latency").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(RecordError, match=rf"latency\.jsonl:2: .*{message}"):
        results.read("latency")


def test_a_record_in_the_file_of_another_kind_is_reported(results: Results) -> None:
    results.append(latency())
    results.path("latency").rename(results.path("tuning"))
    with pytest.raises(RecordError, match=r"tuning\.jsonl:1: field 'kind' is 'latency'"):
        results.read("tuning")


def test_several_can_append_at_once(results: Results) -> None:
    def append(run_id: str) -> None:
        for _ in range(20):
            results.append(latency(run_id=run_id, samples_ns=[1] * 5000, rounds=[5000]))

    with ThreadPoolExecutor(2) as writers:
        list(writers.map(append, "ab"))
    assert sorted(record["run_id"] for record in results.read("latency")) == ["a"] * 20 + ["b"] * 20


def test_stamp_says_what_made_the_record() -> None:
    stamp = records.stamp("machine", profile="quick", run_id="r1", machine_id="m1")
    assert next(iter(stamp)) == "schema_version"
    assert stamp.keys() == Stamp.model_fields.keys()
    assert stamp["versions"]["torch"].startswith("2.13.0")
    assert stamp["started_at"].endswith("+00:00")
    assert stamp["measurement"] == KINDS["machine"].measurement_version


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a small repository pass for ours."""
    monkeypatch.setattr(records, "REPOSITORY", tmp_path)
    records.commit.cache_clear()
    yield tmp_path
    records.commit.cache_clear()


def test_commit_says_dirty_for_sources_but_not_for_results(clone: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        subprocess.run(["git", *identity, *arguments], cwd=clone, check=True, capture_output=True)

    def commit() -> str:
        records.commit.cache_clear()
        return records.commit()

    git("init")
    (clone / "source.py").write_text("1\n")
    git("add", "source.py")
    git("commit", "-m", "first")
    head = commit()
    assert len(head) == 40
    (clone / "book" / "results").mkdir(parents=True)
    (clone / "book" / "results" / "latency.jsonl").write_text("{}\n")
    assert commit() == head
    (clone / "source.py").write_text("2\n")
    assert commit() == f"{head}-dirty"


def test_commit_outside_a_clone_is_unknown(clone: Path) -> None:
    assert records.commit() == "unknown"
