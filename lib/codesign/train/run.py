"""Whole runs: the dense model that learns a task and then teaches, and the pruned models that start from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codesign.blocks import BlockShape
from codesign.corpus.task import Task
from codesign.errors import one_of
from codesign.prune import PRUNERS, check_blocks
from codesign.prune.sparsifier import Sparsifier
from codesign.schema import KINDS
from codesign.train.data import tokenize
from codesign.train.evaluate import outputs
from codesign.train.loop import Report, fine_tune, restore, save
from codesign.train.model import Classifier, classifier, device
from codesign.train.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model, with what it says about the task.

    Parameters
    ----------
    model
        On the CPU.
    seconds
        Of training, interruptions left out.
    test_logits, test_embeddings
        float32 [test examples, labels] and [test examples, hidden].
    train_logits
        float32 [training examples, labels], of a dense model: what its students learn from.
    """

    model: Classifier
    seconds: float
    test_logits: Tensor
    test_embeddings: Tensor
    train_logits: Tensor | None = None


@dataclass(frozen=True)
class Setting:
    """What every run on a task has: the encoder's name (`codesign.encoder.load_encoder`), recipe, task and seed."""

    model: str
    recipe: Recipe
    task: Task
    seed: int


@dataclass(frozen=True)
class Pruning:
    """What is pruned, how (`codesign.prune.PRUNERS`), and how much."""

    pruner: str
    scope: str
    block: BlockShape
    sparsity: float


def identity(setting: Setting, pruning: Pruning | None = None) -> dict[str, object]:
    """Say what decides the result of a run, of the dense model or of a pruned one: plain values by name."""
    dense = {
        "model": setting.model,
        "seed": setting.seed,
        "recipe": setting.recipe.dense_key,
        "task": setting.task.digest,
        "torch": str(torch.__version__),
        "device": device().type,
        "threads": torch.get_num_threads(),
        "measurement": KINDS[setting.recipe.kind].measurement_version,
    }
    if pruning is None:
        return dense
    return dense | asdict(pruning) | {"block": str(pruning.block), "pruned_recipe": setting.recipe.key}


def train(
    setting: Setting,
    folder: Path,
    pruning: Pruning | None = None,
    dense: Trained | None = None,
    report: Report = lambda done, steps, loss: None,
) -> Trained:
    """Train the dense model, or prune a copy of it while it is trained on; or read what was trained before.

    Parameters
    ----------
    setting
        What to train.
    folder
        Of this run and no other (`identity` tells them apart): it holds the unfinished state, and the result.
    pruning
        What to prune; None trains the dense model.
    dense
        Where a pruned model starts, and its teacher.
    report
        Told about every step.

    Returns
    -------
    Trained
        Pruned weights are exactly zero.

    Raises
    ------
    InputError
        If a file in the folder cannot be read, or the pruning cannot be done.
    """
    recipe = setting.recipe
    model = classifier(setting.model, len(setting.task.labels), setting.seed)
    if pruning:
        one_of("pruner", pruning.pruner, PRUNERS)
        check_blocks(pruning.block, model.matrices(pruning.scope))
    result, unfinished = folder / "trained.pt", folder / "unfinished.pt"
    if not result.exists():
        model.to(device())
        texts, asked = (
            tokenize(setting.model, model.bert.config.vocab_size, side, recipe.seq)
            for side in (setting.task.train, setting.task.test)
        )
        how: dict[str, Any] = {"steps": recipe.dense_steps, "seed": 2 * setting.seed}
        if pruning:
            assert dense is not None, "a pruned model starts from a dense one"
            model.load_state_dict(dense.model.state_dict())
            sparsifier = Sparsifier(
                PRUNERS[pruning.pruner](pruning.block, setting.seed),
                model.matrices(pruning.scope),
                sparsity=pruning.sparsity,
                allocation=recipe.allocation,
                schedule=recipe.schedule,
                steps=recipe.prune_steps,
            )
            how = {"steps": recipe.steps, "seed": 2 * setting.seed + 1}  # not the dense model's order again
            how |= {"sparsifier": sparsifier, "teacher": dense.train_logits}
        seconds = fine_tune(model, texts, recipe, path=unfinished, report=report, **how)
        said = dict(zip(("test_logits", "test_embeddings"), outputs(model, asked), strict=True))
        if not pruning:
            said["train_logits"] = outputs(model, texts)[0]
        save(result, model=model.state_dict(), seconds=seconds, **said)
        unfinished.unlink()
    content = restore(result, torch.device("cpu"))
    model.to("cpu")
    model.load_state_dict(content.pop("model"))
    model.eval()
    return Trained(model, **content)
