"""`codesign bench`: what is refused before any work, what a checkpoint says of itself, and what is shown."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from tests.synthetic import latency

from codesign import cli
from codesign.blocks import BlockShape
from codesign.commands import bench
from codesign.commands.asked import Request, plan, pruning
from codesign.encoder import has_tokenizer, load_encoder, save_checkpoint
from codesign.errors import InputError
from codesign.prune import prune_model
from codesign.study import sessions
from codesign.study.points import Case

LOAD: dict[str, Any] = {"batch": 1, "seq": 16, "threads": 1, "trials_per_task": 1}
PRUNED = LOAD | {"blocks": ("4x1", "32x1"), "sparsity": 0.8}


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:
    """What would have been measured; the records are invented."""
    calls: list[object] = []

    def measure(study: object, points: object, trials: object, *, engines: object, isa: object) -> list[dict[str, Any]]:
        calls.append((points, engines, trials, isa))
        return SESSION

    monkeypatch.setattr(bench, "measure", measure)
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    return calls


@pytest.fixture
def pruned(tmp_path: Path) -> Path:
    """bert-tiny with attention weights pruned in 16x1 blocks, by somebody."""
    model = load_encoder("bert-tiny")
    prune_model(model, scope="attention", pruner="random", block=BlockShape(16, 1), sparsity=0.75, seed=0)
    save_checkpoint(model, tmp_path / "theirs", {})
    return tmp_path / "theirs"


SESSION = [
    latency("torch-eager", "none", "dense", 100.0),
    latency("openvino", "none", "dense", 40.0),
    latency("tvm-dense", "none", "dense", 50.0),
    latency("tvm-bsr", "all", "32x1", 20.0),
    latency("tvm-bsr", "all", "4x1", 25.0) | {"samples_ns": [], "rounds": [], "status": "skipped", "reason": "why"},
    latency("torch-eager", "none", "dense", 101.0, control="A/A"),
]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "bert-bse"], "did you mean bert-base?"),
        (["--scope", "atention"], "did you mean attention?"),
        (["--blocks", "32*1"], "did you mean 32x1?"),
        (["--blocks", "dense"], "block='dense'"),
        (["--blocks", "4x1,4x1"], "a list without repetition"),
        (["--blocks", "4x1,"], "blocks=''"),
        (["--blocks", ""], "blocks='' is not valid"),
        (["--blocks", "4096x1"], "block='4096x1' is not valid: expected at most"),
        (["--prune", ""], "prune='' is not valid"),
        (["--prune", "4x1@1.5"], "did you mean 4x1@0.999?"),
        (["--prune", "4x1@most"], "prune='4x1@most'"),
        (["--prune", "4x1@0.8", "--blocks", "8x1"], "none with --prune, which names the shapes itself"),
        (["--prune", "4096x1@0.8"], "did you mean 128x1?"),
        (["--batch", "0"], "batch=0"),
        (["--batch", "many"], "batch='many'"),
        (["--batch", "null"], "batch=None"),
        (["--seq", "513"], "did you mean 512?"),
        (["--seq", ""], "seq=None is not valid: expected an integer"),
        (["--threads", "200"], "the CPUs this process may use"),
        (["--trials", "0"], "trials_per_task=0"),
        (["--engines", ""], "engines='' is not valid"),
        (["--isa", "avx3"], "expected one of native, avx2, avx512"),
        (["--engines", "tvm-bsr,openvin"], "did you mean openvino?"),
        (
            ["--prune", "4x1@0.8", "--engines", "openvino"],
            "at least one of tvm-bsr, tvm-bsr-int8, tvm-bsr-whole, tvm-bsr-token-major, deepsparse,",
        ),
        (["--engines", "tvm-bsr"], "none of its all weights is zero: these are for pruned models"),
        (["--scope", "ffn"], "none without --prune: none of its ffn weights is zero"),
        (["--blocks", "4x1,8x1"], "did you mean --prune 4x1,8x1@0.8?"),
        (["--json", "no/such/folder/rows.json"], "a file in a folder that exists"),
        (["--json", ""], "json=''"),
        (["--json", "."], "json='.'"),
    ],
)
def test_refuses_before_any_work(
    ran: list[object], capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert cli.main(["bench", "--model", "bert-tiny", *arguments]) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not ran


def test_a_model_with_too_short_positions_is_refused(tmp_path: Path) -> None:
    model = load_encoder("bert-tiny")
    model.config.max_position_embeddings = 16
    model.embeddings.position_embeddings.weight.data = model.embeddings.position_embeddings.weight[:16].clone()
    save_checkpoint(model, tmp_path / "short", {})
    with pytest.raises(InputError, match="seq=32 is not valid: expected 1 to 16 tokens"):
        plan(Request(str(tmp_path / "short"), **LOAD | {"seq": 32}))


def test_a_model_without_zeros_is_dense_and_one_is_told_how_to_prune_it(capsys: pytest.CaptureFixture[str]) -> None:
    made = plan(Request("bert-tiny", **LOAD))
    assert [(p.scope, p.pruner, p.block, p.sparsity) for p in made.points] == [("none", "none", "dense", 0.0)]
    assert (made.found, made.engines, made.left_out) == ([], ("tvm-dense",), [])
    said = " ".join(capsys.readouterr().err.split())
    assert "none of its all weights is zero, so it is taken as dense. To prune it first: --prune 4x1@0.8" in said


def test_a_dense_model_is_timed_beside_dense_engines() -> None:
    (point,) = plan(Request("bert-tiny", **LOAD)).points
    engines = ("tvm-dense", "onnxruntime", "tvm-stock-default")
    first, slow = sessions.sessions([point], engines=engines, isa="avx2")
    assert [case.engine for case in first] == ["torch-eager", "openvino", "tvm-dense", "onnxruntime"]
    assert [case.engine for case in slow] == ["torch-eager", "openvino", "tvm-stock-default"]
    assert {(case.point, case.block) for case in (*first, *slow)} == {(point, "dense")}


def test_a_model_is_pruned_as_asked(capsys: pytest.CaptureFixture[str]) -> None:
    made = plan(Request("bert-tiny", **PRUNED))
    assert capsys.readouterr().err == ""
    assert [(p.scope, p.pruner, p.block, p.sparsity) for p in made.points] == [
        ("all", "magnitude", "4x1", 0.8),
        ("all", "magnitude", "32x1", 0.8),
    ]
    assert not made.found


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("4x1", "4x1@0.8"),
        ("0.9", "4x1@0.9"),
        ("", "4x1@0.8"),
        ("4x1@80", "4x1@0.8"),
        ("4x1@1", "4x1@0.999"),
        ("4x1@nan", "4x1@0.8"),
        ("4x1@0.8@2", "4x1@0.8"),
        ("32*1,8x1@0.7", "32x1,8x1@0.7"),
        ("4x1,4x1@0.8", "4x1@0.8"),
        (f"4x1@{'9' * 5000}", "4x1@0.8"),
    ],
)
def test_a_wrong_pruning_is_refused_with_the_nearest_right_one(text: str, near: str) -> None:
    with pytest.raises(InputError, match=r"SHAPES@SPARSITY, as in 4x1@0\.8") as refused:
        pruning(text)
    assert refused.value.nearest == near
    pruning(near)


@given(st.text(st.sampled_from("0149x,@.%e-ndse"), max_size=12))
def test_the_nearest_pruning_is_always_right(text: str) -> None:
    try:
        shapes, sparsity = pruning(text)
    except InputError as error:
        shapes, sparsity = pruning(str(error.nearest))
    assert shapes
    assert 0 <= sparsity < 1


def test_a_pruned_checkpoint_is_taken_as_it_was_found(pruned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = plan(Request(str(pruned), **LOAD))
    point = made.points[-1]
    assert (point.scope, point.pruner, point.block, point.sparsity) == ("attention", "as-found", "16x1", 0.75)
    assert Path(point.model) == pruned
    assert "75.0% zeros in 8 matrices (attention); 16x1 fits best, storing 1.00" in capsys.readouterr().err
    asked = plan(Request(str(pruned), blocks=("32x1", "8x1"), **LOAD))
    assert [point.block for point in asked.points] == ["32x1", "8x1"]


def test_a_pruned_checkpoint_is_pruned_further_only_if_that_is_asked_for(pruned: Path) -> None:
    (taken,) = plan(Request(str(pruned), **LOAD)).points
    assert (taken.pruner, taken.sparsity) == ("as-found", 0.75)
    (further,) = plan(Request(str(pruned), blocks=("16x1",), sparsity=0.9, **LOAD)).points
    assert (further.scope, further.pruner, further.block, further.sparsity) == ("all", "magnitude", "16x1", 0.9)


def test_other_weights_in_the_same_place_are_another_point(pruned: Path) -> None:
    first = plan(Request(str(pruned), **LOAD)).points
    save_checkpoint(load_encoder("bert-tiny", seed=1), pruned, {})
    second = plan(Request(str(pruned), **LOAD)).points
    assert first[0].key() != second[0].key()


def test_a_directory_need_not_have_a_tokenizer(pruned: Path) -> None:
    assert not has_tokenizer(str(pruned))
    (pruned / "vocab.txt").touch()
    assert has_tokenizer(str(pruned))
    assert not has_tokenizer("bert-base")
    assert has_tokenizer("minilm")


def test_engines_that_use_zeros_run_every_shape_and_the_others_one() -> None:
    points = plan(Request("bert-tiny", **PRUNED)).points
    engines = ("onnxruntime", "openvino", "tvm-bsr", "deepsparse", "tvm-stock-default")
    first, slow = sessions.sessions(points, engines=engines)
    assert first == [
        *(Case(engine, points[1]) for engine in ("torch-eager", "openvino", "onnxruntime")),
        *(Case(engine, point) for engine in ("tvm-bsr", "deepsparse") for point in points),
    ]
    assert [case.engine for case in slow] == ["torch-eager", "openvino", "tvm-stock-default"]


def test_an_isa_is_that_of_the_engines_we_compile() -> None:
    points = plan(Request("bert-tiny", isa="avx2", **PRUNED)).points
    (session,) = sessions.sessions(points, engines=sessions.OURS, isa="avx2")
    assert {case.engine: case.isa for case in session} == {
        "torch-eager": "native",
        "openvino": "native",
        "tvm-dense": "avx2",
        "tvm-bsr": "avx2",
    }
    narrow = session[-1]
    native = dataclasses.replace(narrow, isa="native")
    assert (narrow.key(), narrow.fields()["isa"]) == (f"{native.key()}-avx2", "avx2")


def test_rows_relate_every_engine_to_the_dense_ones_of_its_session() -> None:
    rows = {(row["engine"], row["block"]): row for row in bench.rows(SESSION)}
    assert len(rows) == 5
    sparse = rows["tvm-bsr", "32x1"]
    assert sparse["median_ms"]["value"] == pytest.approx(20, rel=0.01)
    assert sparse["over_best_dense"]["value"] == pytest.approx(2, rel=0.02)
    assert sparse["over_tvm_dense"]["value"] == pytest.approx(2.5, rel=0.02)
    assert sparse["fill_in"] == 1
    assert rows["openvino", "dense"]["over_best_dense"]["value"] == 1
    assert rows["tvm-bsr", "4x1"]["median_ms"] is None


def test_the_table_shows_times_reasons_and_flags(ran: list[object], capsys: pytest.CaptureFixture[str]) -> None:
    rows = bench.rows([record | {"flagged": True, "flag_reason": "doubt"} for record in SESSION])
    console = Console(width=200)
    console.print(bench.table(plan(Request("bert-tiny", **PRUNED)).points, rows))
    shown = capsys.readouterr().out
    assert "bert-tiny, all weights 80% pruned (magnitude), batch 1" in shown
    assert "skipped" in shown
    assert "why" in shown
    assert "tvm-bsr *" in shown
    assert "flagged: doubt" in shown


def test_json_on_standard_output_is_json_and_nothing_else(
    ran: list[Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    common = ["bench", "--model", "bert-tiny", "--threads", "1", "--prune", "32x1@0.8", "--trials", "8"]
    assert cli.main([*common, "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["engine"] for row in document["rows"]] == ["torch-eager", "openvino", "tvm-dense", "tvm-bsr", "tvm-bsr"]
    assert (document["model"], document["pruner"], document["left_out"]) == ("bert-tiny", "magnitude", [])
    ((points, engines, trials, isa),) = ran
    assert ([point.block for point in points], engines, trials, isa) == (["32x1"], sessions.OURS, 8, "native")
    assert cli.main([*common, "--json", str(tmp_path / "rows.json")]) == 0
    assert json.loads((tmp_path / "rows.json").read_text()) == document
    assert "tvm-bsr" in capsys.readouterr().out


def test_a_dense_model_is_shown_as_dense(ran: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--model", "bert-tiny", "--threads", "1"]) == 0
    assert "bert-tiny, dense, batch 1" in " ".join(capsys.readouterr().out.split())
    ((points, engines, _, _),) = ran
    assert ([point.block for point in points], engines) == (["dense"], ("tvm-dense",))


def test_a_head_is_left_out_only_if_that_is_asked_for(
    ran: list[Any], headed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["bench", "--model", str(headed), "--seq", "16", "--threads", "1", "--json", "-"]
    assert cli.main(common) == 2
    assert "without the head of BertForSequenceClassification (classifier.bias" in capsys.readouterr().err
    assert not ran
    assert cli.main([*common, "--encoder-only"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["left_out"][0] == "BertForSequenceClassification"
    assert "without its head, BertForSequenceClassification" in " ".join(shown.err.split())
