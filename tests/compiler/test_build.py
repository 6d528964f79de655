"""From checkpoint to a running artefact: equal to PyTorch, independent of it, and guarded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from codesign import runtime
from codesign.blocks import BlockShape
from codesign.compiler import MissingTask, TargetSpec, build, lower_encoder, open_database
from codesign.encoder import example_inputs, load_encoder, save_checkpoint, sentence_inputs
from codesign.forward import EncoderForward
from codesign.prune import prune_model

TOLERANCE = 1e-4
Inputs = dict[str, np.ndarray]

#: Runs an artefact where nothing but numpy and TVM can be imported; prints what it imported of the rest.
ALONE = """
import sys
for name in ("torch", "transformers", "xgboost", "openvino", "scipy", "pandas", "matplotlib", "rich", "jsonschema"):
    sys.modules[name] = None
import numpy as np
from codesign.runtime import load
encoder = load(sys.argv[1])
inputs = np.load(sys.argv[2])
np.save(sys.argv[3], encoder(**inputs))
print(sorted(name for name in sys.modules if name.startswith("codesign")))
"""


def reference(checkpoint: Path | str, inputs: Inputs) -> np.ndarray:
    with torch.no_grad():
        return EncoderForward(load_encoder(str(checkpoint)))(*map(torch.from_numpy, inputs.values())).numpy()


def run_alone(artifact: Path, inputs: Inputs, tmp_path: Path) -> tuple[np.ndarray, str]:
    np.savez(tmp_path / "inputs.npz", **inputs)
    arguments = [str(artifact), str(tmp_path / "inputs.npz"), str(tmp_path / "out.npy")]
    done = subprocess.run([sys.executable, "-c", ALONE, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return np.load(tmp_path / "out.npy"), done.stdout


@pytest.fixture(scope="module")
def artifact(pruned_tiny: Path, spec: TargetSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("artifacts") / "tiny"
    build(lower_encoder(pruned_tiny, block=BlockShape(4, 1), batch=2, seq=19, spec=spec), None, out)
    return out


def test_it_equals_pytorch_with_a_padded_batch_where_torch_is_blocked(
    artifact: Path, pruned_tiny: Path, tmp_path: Path
) -> None:
    inputs = example_inputs(load_encoder("bert-tiny"), 2, 19, seed=3, padded=True)
    assert 0 in inputs["attention_mask"]
    assert 1 in inputs["token_type_ids"]
    got, imported = run_alone(artifact, inputs, tmp_path)
    assert np.abs(got - reference(pruned_tiny, inputs)).max() <= TOLERANCE
    assert imported.strip() == "['codesign', 'codesign.cores', 'codesign.isa', 'codesign.runtime']"


@pytest.mark.parametrize("block", ["1x1", "32x1", "1x32", "16x16", "7x5", "24x1", "64x1"])
def test_every_block_shape_equals_pytorch(block: str, spec: TargetSpec, tmp_path: Path) -> None:
    shape = BlockShape.parse(block)
    model = load_encoder("bert-tiny", seed=2)
    prune_model(model, scope="all", pruner="random", block=shape, sparsity=0.7, seed=0)
    save_checkpoint(model, tmp_path / "model", {})
    lowered = lower_encoder(tmp_path / "model", block=shape, batch=1, seq=16, spec=spec)
    assert lowered.bsr_linears == 12
    build(lowered, None, tmp_path / "artifact")
    inputs = example_inputs(model, 1, 16, seed=0)
    got, _ = run_alone(tmp_path / "artifact", inputs, tmp_path)
    assert np.abs(got - reference(tmp_path / "model", inputs)).max() <= TOLERANCE


def test_stock_tvm_equals_pytorch(pruned_tiny: Path, spec: TargetSpec, tmp_path: Path) -> None:
    build(
        lower_encoder(pruned_tiny, block=None, batch=1, seq=16, spec=spec, pipeline="stock"), None, tmp_path / "stock"
    )
    inputs = example_inputs(load_encoder("bert-tiny"), 1, 16, seed=0, padded=True)
    got, _ = run_alone(tmp_path / "stock", inputs, tmp_path)
    assert np.abs(got - reference(pruned_tiny, inputs)).max() <= TOLERANCE


def test_real_sentences_through_a_pruned_pretrained_encoder(spec: TargetSpec, tmp_path: Path) -> None:
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
    got, _ = run_alone(tmp_path / "art", inputs, tmp_path)
    want = reference(tmp_path / "minilm", inputs)
    mask = inputs["attention_mask"]
    pooled_got, pooled_want = ((h * mask[..., None]).sum(1) / mask.sum(1)[:, None] for h in (got, want))
    assert np.abs(pooled_got - pooled_want).max() <= TOLERANCE


def test_a_missing_task_is_an_error_and_leaves_the_old_artifact(
    artifact: Path, pruned_tiny: Path, spec: TargetSpec, tmp_path: Path
) -> None:
    open_database(tmp_path / "db", spec, create=True)
    lowered = lower_encoder(pruned_tiny, block=BlockShape(4, 1), batch=2, seq=19, spec=spec)
    before = (artifact / runtime.MANIFEST).read_bytes()
    with pytest.raises(MissingTask, match=r"task \w+ \([0-9a-f]{16}\) is not in .*03_tune"):
        build(lowered, tmp_path / "db", artifact)
    assert (artifact / runtime.MANIFEST).read_bytes() == before
    assert [path.name for path in artifact.parent.iterdir()] == [artifact.name], "nothing half-written beside it"


def test_inputs_that_would_read_out_of_bounds_are_refused(artifact: Path) -> None:
    code = f"""
import numpy as np
from codesign.runtime import ArtifactError, load
encoder = load({str(artifact)!r})
ones = np.ones((2, 19), np.int64)
for ids in (ones * 1000, -ones, np.ones((2, 20), np.int64), ones.astype(np.int32)):
    try:
        encoder(ids, ones)
    except ArtifactError as error:
        print(error)
"""
    # in its own process, since loading pins the thread that loads
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [("0..999" in line, "compiled for int64[2, 19]" in line) for line in lines] == [
        (True, False),
        (True, False),
        (False, True),
        (False, True),
    ]
