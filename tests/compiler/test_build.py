"""From checkpoint to a running artefact: equal to PyTorch, independent of it, and guarded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.compiler.conftest import Alone

from codesign.blocks import BlockShape
from codesign.compiler import Lowered, MissingTask, TargetSpec, build, extract_tasks, lower_encoder, open_database
from codesign.compiler.layout import TOKEN_MAJOR
from codesign.encoder import example_inputs, load_encoder, save_checkpoint, sentence_inputs
from codesign.forward import EncoderForward
from codesign.prune import prune_model
from codesign.runtime import MANIFEST

Inputs = dict[str, np.ndarray]
TOKEN, WHOLE = {"layout": TOKEN_MAJOR}, {"strips": False}
#: Block shape, batch, tokens, and what differs from the defaults.
CASES: list[tuple[str | None, int, int, dict[str, Any]]] = [
    *((block, 1, 16, {}) for block in ("1x1", "32x1", "1x32", "16x16", "24x1", "64x1")),
    *(("7x5", 2, 37, {}), ("4x1", 2, 19, {})),
    *(("32x1", 1, 16, TOKEN), ("16x4", 2, 37, TOKEN), (None, 1, 5, TOKEN)),
    *(("32x1", 1, 16, WHOLE), (None, 1, 5, WHOLE)),
]


def reference(checkpoint: Path | str, inputs: Inputs) -> np.ndarray:
    with torch.inference_mode():
        return EncoderForward(load_encoder(str(checkpoint)))(*map(torch.from_numpy, inputs.values())).numpy()


@pytest.mark.parametrize(("block", "batch", "seq", "options"), CASES)
def test_an_encoder_equals_pytorch(
    block: str | None, batch: int, seq: int, options: dict[str, Any], alone: Alone, spec: TargetSpec, tmp_path: Path
) -> None:
    model = load_encoder("bert-tiny", seed=2)
    shape = None if block is None else BlockShape.parse(block)
    if shape is not None:
        prune_model(model, scope="all", pruner="random", block=shape, sparsity=0.7, seed=0)
    save_checkpoint(model, tmp_path / "model", {})
    lowered = lower_encoder(tmp_path / "model", block=shape, batch=batch, seq=seq, spec=spec, **options)
    assert (lowered.bsr_linears, lowered.dense_linears) == ((12, 0) if shape else (0, 12))
    kinds = {task.operator.kind for task in extract_tasks([lowered]) if task.operator is not None}
    assert kinds - {"to_feature_major", "to_token_major"} == {"linear", "attention", "layer_norm"}
    assert len(kinds) == (3 if options == TOKEN else 5)
    build(lowered, None, tmp_path / "artifact")
    inputs = example_inputs(model, batch, seq, seed=0)
    inputs["attention_mask"][-1, seq - 2 :] = 0
    assert 1 in inputs["token_type_ids"]
    got, want = alone(tmp_path / "artifact", inputs), reference(tmp_path / "model", inputs)
    real = inputs["attention_mask"].astype(bool)
    np.testing.assert_allclose(got[real], want[real], atol=2e-5)
    assert alone.says == "done codesign codesign.cores codesign.isa codesign.runtime"


def test_stock_tvm_equals_pytorch(pruned_tiny: Path, alone: Alone, spec: TargetSpec, tmp_path: Path) -> None:
    lowered = lower_encoder(pruned_tiny, block=None, batch=1, seq=16, spec=spec, pipeline="stock")
    build(lowered, None, tmp_path / "stock")
    inputs = example_inputs(load_encoder("bert-tiny"), 1, 16, seed=0, padded=True)
    assert np.abs(alone(tmp_path / "stock", inputs) - reference(pruned_tiny, inputs)).max() <= 1e-4


def test_real_sentences_through_a_pruned_pretrained_encoder(alone: Alone, spec: TargetSpec, tmp_path: Path) -> None:
    model = load_encoder("minilm")
    prune_model(model, scope="all", pruner="magnitude", block=BlockShape(4, 1), sparsity=0.5, seed=0)
    save_checkpoint(model, tmp_path / "minilm", {})
    sentences = [
        "The compiler chooses a schedule.",
        "Prune the weights of an encoder, block by block, then fine-tune it.",
    ]
    inputs = sentence_inputs("minilm", sentences, 24)
    build(
        lower_encoder(tmp_path / "minilm", block=BlockShape(4, 1), batch=2, seq=24, spec=spec), None, tmp_path / "art"
    )
    mask = inputs["attention_mask"]
    hidden = alone(tmp_path / "art", inputs), reference(tmp_path / "minilm", inputs)
    got, want = ((h * mask[..., None]).sum(1) / mask.sum(1)[:, None] for h in hidden)
    assert np.abs(got - want).max() <= 1e-4


def test_a_missing_task_is_an_error_and_leaves_the_old_artifact(
    built: Path, lowered: Lowered, spec: TargetSpec, tmp_path: Path
) -> None:
    open_database(tmp_path / "db", spec, create=True)
    before = (built / MANIFEST).read_bytes()
    with pytest.raises(MissingTask, match=r"task \w+ \([0-9a-f]{16}\) is not in .*03_tune"):
        build(lowered, tmp_path / "db", built)
    assert (built / MANIFEST).read_bytes() == before
    assert [path.name for path in built.parent.iterdir()] == [built.name], "nothing half-written beside it"


def test_inputs_that_would_read_out_of_bounds_are_refused(built: Path, alone: Alone) -> None:
    ones = np.ones((1, 16), np.int64)
    wrong = {"0..999": (ones * 1000, -ones), r"for int64\[1, 16\]": (np.ones((1, 17), np.int64), ones.astype(np.int32))}
    for message, every in wrong.items():
        for ids in every:
            with pytest.raises(AssertionError, match=message):
                alone(built, {"input_ids": ids, "attention_mask": ones})
