"""`codesign compile`: what is refused before any work, what is compiled, and a whole run that ends in a directory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codesign import cli
from codesign.blocks import BlockShape
from codesign.encoder import load_encoder, save_checkpoint
from codesign.prune import prune_model
from codesign.runtime import MANIFEST, ArtifactError
from codesign.study import packaged
from codesign.study.bench import Request
from codesign.study.packaged import case_of

LOAD: dict[str, Any] = {"batch": 1, "seq": 16, "threads": 1, "trials_per_task": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bert-tny"], "did you mean bert-tiny?"),
        (["bert-tiny", "--block", "32*1"], "did you mean 32x1?"),
        (["bert-tiny", "--sparsity", "1.5"], "did you mean 0.999?"),
        (["bert-tiny", "--isa", "avx3"], "expected one of native, avx2, avx512"),
        (["bert-tiny", "--threads", "200"], "the CPUs this process may use"),
        (["bert-tiny", "--seq", "513"], "did you mean 512?"),
        (["bert-tiny", "--trials", "0"], "trials_per_task=0"),
        (["bert-tiny", "--out", "/"], "an artefact to replace"),
    ],
)
def test_refuses_before_any_work(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    monkeypatch.setattr(packaged, "package", lambda *_: pytest.fail("work was started"))
    assert cli.main(["compile", *arguments]) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")


def test_the_block_shape_is_asked_for_or_found_or_ours(tmp_path: Path) -> None:
    def compiled(model: str, block: str | None) -> tuple[str, str, float, str]:
        blocks = None if block in (None, "dense") else (str(block),)
        case = case_of(Request(model, blocks=blocks, isa="avx2", **LOAD), block)
        return case.engine, case.point.block, case.point.sparsity, case.isa

    assert compiled("bert-tiny", None) == ("tvm-bsr", "32x1", 0.8, "avx2")
    assert compiled("bert-tiny", "7x5") == ("tvm-bsr", "7x5", 0.8, "avx2")
    assert compiled("bert-tiny", "dense") == ("tvm-dense", "dense", 0.0, "avx2")
    model = load_encoder("bert-tiny")
    prune_model(model, scope="all", pruner="random", block=BlockShape(16, 1), sparsity=0.75, seed=0)
    save_checkpoint(model, tmp_path / "theirs", {})
    assert compiled(str(tmp_path / "theirs"), None) == ("tvm-bsr", "16x1", 0.75, "avx2")


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
    assert cli.main(["compile", "bert-tiny", "--block", "7x5", *load, "--out", str(out)]) == 0
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
