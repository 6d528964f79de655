"""From checkpoint to a running artefact: equal to PyTorch, independent of it, and guarded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.compiler.conftest import Alone
from tests.soak.patterns import KINDS, stored

from codesign.blocks import BlockShape
from codesign.compiler import Lowered, MissingTask, TargetSpec, build, extract_tasks, lower_encoder, open_database
from codesign.compiler.layout import TOKEN_MAJOR
from codesign.encoder import example_inputs, load_encoder, prunable_linears, save_checkpoint, sentence_inputs
from codesign.forward import EncoderForward
from codesign.prune import prune_model
from codesign.runtime import MANIFEST

Inputs = dict[str, np.ndarray]
TOKEN, WHOLE = {"layout": TOKEN_MAJOR}, {"strips": False}
#: Block shape, batch, tokens, and what differs from the defaults; with `HOSTILE` blocks, masks that nobody plans for.
HOSTILE = ("4x1", "7x5", "64x1", "1x1")
CASES: list[tuple[str | None, int, int, dict[str, Any]]] = [
    *(("4x1", 2, 37, {}), ("7x5", 2, 37, {}), ("64x1", 3, 5, {}), ("1x1", 1, 1, {})),
    *((block, 1, 16, {}) for block in ("32x1", "1x32", "24x1")),
    *(("32x1", 1, 16, TOKEN), ("16x4", 2, 37, TOKEN), (None, 1, 5, TOKEN)),
    ("32x1", 2, 37, WHOLE),
]


def reference(checkpoint: Path | str, inputs: Inputs) -> np.ndarray:
    with torch.inference_mode():
        return EncoderForward(load_encoder(str(checkpoint)))(*map(torch.from_numpy, inputs.values())).numpy()


def prune_hostile(model: torch.nn.Module, block: BlockShape) -> None:
    """Give each matrix another pattern: nothing, everything, few blocks or more, in each way that blocks can lie."""
    rng = np.random.default_rng(0)
    for number, linear in enumerate(prunable_linears(model, "all").values()):
        grid = block.grid(linear.weight.shape)
        cells = grid[0] * grid[1]
        layout = stored(rng, KINDS[number % len(KINDS)], grid, (0, cells, cells // 3, cells // 5)[number % 4])
        mask = np.kron(layout, np.ones((block.rows, block.cols), bool))
        linear.weight.data *= torch.from_numpy(mask[: linear.weight.shape[0], : linear.weight.shape[1]])


@pytest.mark.parametrize(("block", "batch", "seq", "options"), CASES)
def test_an_encoder_equals_pytorch(
    block: str | None, batch: int, seq: int, options: dict[str, Any], alone: Alone, spec: TargetSpec, tmp_path: Path
) -> None:
    model = load_encoder("bert-tiny", seed=2)
    shape = None if block is None else BlockShape.parse(block)
    if hostile := block in HOSTILE:
        prune_hostile(model, BlockShape.parse(str(block)))
    elif shape is not None:
        prune_model(model, scope="all", pruner="random", block=shape, sparsity=0.7, seed=0)
    save_checkpoint(model, tmp_path / "model", {})
    lowered = lower_encoder(tmp_path / "model", block=shape, batch=batch, seq=seq, spec=spec, **options)
    stored_whole = 3 if hostile else 0 if shape else 12
    assert (lowered.bsr_linears, lowered.dense_linears) == (12 - stored_whole, stored_whole)
    kinds = {task.operator.kind for task in extract_tasks([lowered]) if task.operator is not None}
    assert kinds - {"to_feature_major", "to_token_major"} == {"linear", "attention", "layer_norm"}
    assert len(kinds) == (3 if options == TOKEN else 5)
    build(lowered, None, tmp_path / "artifact")
    inputs = example_inputs(model, batch, seq, seed=0)
    lengths = [max(1, seq - 2 - 9 * number) for number in range(batch)]
    inputs["attention_mask"] = (np.arange(seq) < np.array(lengths)[:, None]).astype(np.int64)
    assert seq == 1 or 1 in inputs["token_type_ids"]
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
