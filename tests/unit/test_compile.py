"""`codesign compile`: what is refused before any work, what is compiled, and a whole run that ends in a directory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from codesign import cli
from codesign.blocks import BlockShape
from codesign.commands import compile as packaged
from codesign.commands.asked import Request
from codesign.commands.compile import case_of
from codesign.encoder import example_inputs, load_encoder, save_checkpoint
from codesign.prune import prune_model
from codesign.runtime import MANIFEST, ArtifactError, load

LOAD: dict[str, Any] = {"batch": 1, "seq": 16, "threads": 1, "trials_per_task": 1}


def test_the_block_shape_is_asked_for_or_found_and_nothing_else_is_pruned(tmp_path: Path) -> None:
    def compiled(model: str, block: str | None, sparsity: float | None = None) -> tuple[str, str, float, str]:
        blocks = None if block in (None, "dense") else (str(block),)
        case = case_of(Request(model, blocks=blocks, sparsity=sparsity, isa="avx2", **LOAD), block)
        return case.engine, case.point.block, case.point.sparsity, case.isa

    assert compiled("bert-tiny", None) == ("tvm-dense", "dense", 0.0, "avx2")
    assert compiled("bert-tiny", "dense") == ("tvm-dense", "dense", 0.0, "avx2")
    assert compiled("bert-tiny", "7x5", 0.8) == ("tvm-bsr", "7x5", 0.8, "avx2")
    model = load_encoder("bert-tiny")
    prune_model(model, scope="all", pruner="random", block=BlockShape(16, 1), sparsity=0.75, seed=0)
    save_checkpoint(model, tmp_path / "theirs", {})
    assert compiled(str(tmp_path / "theirs"), None) == ("tvm-bsr", "16x1", 0.75, "avx2")
    assert compiled(str(tmp_path / "theirs"), "8x1") == ("tvm-bsr", "8x1", 0.75, "avx2")
    assert compiled(str(tmp_path / "theirs"), "dense") == ("tvm-dense", "dense", 0.0, "avx2")


def test_a_wrong_encoder_is_not_handed_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    case = case_of(Request("bert-tiny", **LOAD), None)
    for step in ("ensure_pruned", "ensure_tuned", "install"):
        monkeypatch.setattr(packaged, step, lambda *_: None)
    monkeypatch.setattr(packaged, "artifact", lambda *_: tmp_path)
    for error in (0.5, float("nan")):
        monkeypatch.setattr(packaged, "ensure_built", lambda *_, error=error: [{"max_abs_err": error}])
        with pytest.raises(ArtifactError, match="from PyTorch"):
            packaged.package(None, case, 1, tmp_path / "out")  # type: ignore[arg-type]


def test_from_a_name_to_a_directory_that_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path / "work"))
    out = tmp_path / "it's here" / "encoder"
    load = ["--seq", "13", "--batch", "2", "--threads", "2", "--trials", "1", "--isa", "avx2"]
    assert cli.main(["compile", "bert-tiny", "--prune", "7x5@0.8", *load, "--out", str(out)]) == 0
    shown, command = capsys.readouterr().out.rstrip("\n").rsplit("\n", 1)
    assert "against PyTorch" in shown
    assert "12 sparse linears" in shown
    manifest = json.loads((out / MANIFEST).read_text())
    assert (manifest["block"], manifest["batch"], manifest["seq"]) == ("7x5", 2, 13)
    assert manifest["target"]["mcpu"] == "x86-64-v3"
    assert command.startswith("python -c ")
    run = command.replace("python", sys.executable, 1)
    done = subprocess.run(run, shell=True, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("(2, 13, 128)", "")


def compiled_by_command(model: Path, out: Path, *options: str) -> int:
    load = ["--seq", "16", "--batch", "2", "--threads", "1", "--trials", "1", "--out", str(out)]
    return cli.main(["compile", str(model), *load, *options])


def test_a_head_is_refused_or_left_out_and_neither_without_a_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, headed: Path
) -> None:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path / "work"))
    assert compiled_by_command(headed, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "the head of BertForSequenceClassification (classifier.bias, classifier.weight, pooler.dense.bias, " in said
    assert "--encoder-only" in said
    assert not (tmp_path / "out").exists()


def test_a_model_with_segments_padding_and_a_head_computes_what_transformers_computes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, headed: Path
) -> None:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path / "work"))
    out = tmp_path / "out"
    assert compiled_by_command(headed, out, "--encoder-only") == 0
    manifest = json.loads((out / MANIFEST).read_text())

    # without its head, and that is said
    tensors = ["classifier.bias", "classifier.weight", "pooler.dense.bias", "pooler.dense.weight"]
    assert manifest["left_out"] == ["BertForSequenceClassification", *tensors]
    shown = capsys.readouterr()
    assert "what comes out is the last hidden state" in " ".join(shown.out.replace("│", " ").split())
    assert "without its head, BertForSequenceClassification, classifier.bias" in " ".join(shown.err.split())

    # not pruned, and how it would be is said
    assert (manifest["block"], manifest["bsr_linears"], manifest["dense_linears"]) == ("dense", 0, 12)
    assert "taken as dense. To prune it first: --prune 4x1@0.8" in " ".join(shown.err.split())

    # with segments
    assert (manifest["inputs"], manifest["types"]) == (["input_ids", "attention_mask", "token_type_ids"], 2)
    theirs = transformers.BertForSequenceClassification.from_pretrained(headed).bert.eval()
    inputs = example_inputs(theirs, 2, 16, seed=5, padded=True)
    assert 0 in inputs["attention_mask"]
    assert 1 in inputs["token_type_ids"]
    real = inputs["attention_mask"].astype(bool)
    with torch.inference_mode():
        want = theirs(**{name: torch.from_numpy(array) for name, array in inputs.items()}).last_hidden_state.numpy()
    encoder = load(out)
    assert np.abs(encoder(**inputs) - want)[real].max() <= 1e-4
    without = encoder(inputs["input_ids"], inputs["attention_mask"])
    assert np.abs(without - want)[real].max() > 1e-2  # what was computed when segments were no input
