"""A small real encoder, for the tests that run engines."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

# Most tests need no PyTorch, whose import takes seconds: the fixtures import it.


@dataclass(frozen=True)
class Tiny:
    """A saved encoder, inputs for it with padding and segments, and what PyTorch computes."""

    checkpoint: Path
    inputs: Path
    expected: Path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """bert-tiny on two sequences of 16 tokens."""
    import torch

    from codesign.encoder import example_inputs, load_encoder, save_checkpoint
    from codesign.forward import EncoderForward

    folder = tmp_path_factory.mktemp("tiny")
    case = Tiny(folder / "checkpoint", folder / "inputs.npz", folder / "expected.npz")
    model = load_encoder("bert-tiny", seed=1)
    save_checkpoint(model, case.checkpoint, {})
    inputs = example_inputs(model, batch=2, seq=16, seed=1, padded=True)
    np.savez(case.inputs, **inputs)
    output = EncoderForward(model)(*map(torch.from_numpy, inputs.values())).numpy()
    np.savez(case.expected, last_hidden_state=output)
    return case


@pytest.fixture
def headed(tmp_path: Path) -> Path:
    """A classifier of sentence pairs as transformers saves it: two segments, a pooler and a head, and no zeros."""
    import torch
    import transformers

    from codesign.encoder import RANDOM_MODELS

    with torch.random.fork_rng():
        torch.manual_seed(2)
        transformers.BertForSequenceClassification(RANDOM_MODELS["bert-tiny"]()).save_pretrained(tmp_path / "headed")
    return tmp_path / "headed"
