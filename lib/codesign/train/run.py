"""Whole runs: the dense model that learns a task and then teaches, and the pruned models that start from it."""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from codesign.blocks import BlockShape
from codesign.corpus import Example, Task
from codesign.prune import PRUNERS, check_blocks, proximal
from codesign.prune.base import one_of
from codesign.prune.sparsifier import Sparsifier
from codesign.train import progress_file
from codesign.train.data import tokenize
from codesign.train.evaluate import outputs
from codesign.train.loop import Report, Saving, fine_tune
from codesign.train.model import Classifier, classifier, device
from codesign.train.recipe import Recipe

_SILENT: Report = lambda done, steps, loss: None  # noqa: E731


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
        "torch": torch.__version__,
        "device": device().type,
        "threads": torch.get_num_threads(),
        "code": code(),
    }
    if pruning is None:
        return dense
    one_of("pruner", pruning.pruner, PRUNERS)
    how = {"pruned_recipe": setting.recipe.key, "pruning_code": code(pruning.pruner)}
    return dense | asdict(pruning) | {"block": str(pruning.block)} | how


@functools.cache
def code(pruner: str | None = None) -> str:
    """Digest of the sources that take part in a run: twelve hex digits, which comments and layout do not change.

    A new algorithm changes nothing for the others; the texts of the task have a digest of their own.
    """
    package = Path(__file__).parents[1]
    names = ["blocks.py", "encoder.py", *(f"train/{path.name}" for path in (package / "train").glob("*.py"))]
    if pruner is not None:
        names += [f"prune/{name}.py" for name in ("allocation", "grid", "schedule", "sparsifier")]
        own = [each.__module__ for each in PRUNERS[pruner].__mro__ if each.__module__.startswith("codesign.")]
        names += [f"{module.removeprefix('codesign.').replace('.', '/')}.py" for module in [*own, proximal.__name__]]
    parts = [ast.dump(ast.parse((package / name).read_text())) for name in sorted(set(names))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def train_dense(setting: Setting, folder: Path, report: Report = _SILENT) -> Trained:
    """Train the dense model, or read it if it was trained before.

    Parameters
    ----------
    setting
        What to train.
    folder
        Of this run and no other: it holds the unfinished state, and the result.
    report
        Told about every step.

    Raises
    ------
    InputError
        If the folder belongs to another run.
    """
    recipe = setting.recipe

    def train(model: Classifier, saving: Saving) -> float:
        data = tokenize(setting.model, model.bert.config.vocab_size, setting.task.train, recipe.seq)
        return fine_tune(
            model, data, recipe, steps=recipe.dense_steps, seed=2 * setting.seed, saving=saving, report=report
        )

    return _finish(setting, identity(setting), folder, train, teaches=True)


def train_pruned(setting: Setting, pruning: Pruning, dense: Trained, folder: Path, report: Report = _SILENT) -> Trained:
    """Prune a copy of the dense model while it is trained on, or read the result if that was done before.

    Parameters
    ----------
    setting, folder, report
        As in `train_dense`.
    pruning
        What to prune.
    dense
        Where it starts, and its teacher.

    Returns
    -------
    Trained
        Pruned weights are exactly zero.

    Raises
    ------
    InputError
        If the folder belongs to another run, or the pruning cannot be done.
    """
    recipe = setting.recipe
    one_of("pruner", pruning.pruner, PRUNERS)
    check_blocks(pruning.block, dense.model.matrices(pruning.scope))

    def train(model: Classifier, saving: Saving) -> float:
        model.load_state_dict(dense.model.state_dict())
        sparsifier = Sparsifier(
            PRUNERS[pruning.pruner](pruning.block, setting.seed),
            model.matrices(pruning.scope),
            sparsity=pruning.sparsity,
            allocation=recipe.allocation,
            schedule=recipe.schedule,
            steps=recipe.prune_steps,
        )
        return fine_tune(
            model,
            tokenize(setting.model, model.bert.config.vocab_size, setting.task.train, recipe.seq),
            recipe,
            steps=recipe.steps,
            seed=2 * setting.seed + 1,  # not the dense model's order again
            saving=saving,
            sparsifier=sparsifier,
            teacher=dense.train_logits,
            report=report,
        )

    return _finish(setting, identity(setting, pruning), folder, train, teaches=False)


def _finish(
    setting: Setting,
    whose: Mapping[str, object],
    folder: Path,
    train: Callable[[Classifier, Saving], float],
    *,
    teaches: bool,
) -> Trained:
    """Return the result in ``folder``; make it if it is not there, and then forget the unfinished state."""
    result, unfinished = folder / "trained.safetensors", folder / "unfinished.safetensors"
    model = classifier(setting.model, len(setting.task.labels), setting.seed)
    if not result.exists():
        model.to(device())
        seconds = train(model, Saving(unfinished, whose))
        said = _say(model, setting, teaches=teaches)
        state = {f"model.{name}": value for name, value in model.state_dict().items()}
        progress_file.write(result, state | said, whose, seconds=seconds)
        unfinished.unlink()
    state, numbers = progress_file.read(result, whose)
    model.to("cpu")
    progress_file.restore_model(model, state)
    model.eval()
    said = {name: value for name, value in state.items() if not name.startswith("model.")}
    return Trained(model, numbers["seconds"], **said)


def _say(model: Classifier, setting: Setting, *, teaches: bool) -> dict[str, Tensor]:
    """What a model says about the task: the tensors of `Trained` by name."""

    def about(side: Sequence[Example]) -> tuple[Tensor, Tensor]:
        return outputs(model, tokenize(setting.model, model.bert.config.vocab_size, side, setting.recipe.seq))

    logits, embeddings = about(setting.task.test)
    said = {"test_logits": logits, "test_embeddings": embeddings}
    return said | ({"train_logits": about(setting.task.train)[0]} if teaches else {})
