"""Accuracy: which dense and pruned models are trained on a task, recorded, and published for the rest of the chain.

A pruned model that was trained is a point like any other; its pruner reads ``algorithm@recipe``. Its checkpoint is an
ordinary encoder with exact zeros, so `codesign.study.artefacts` and `codesign.study.sessions` take it as it is. A mask
of single weights that is stored in blocks of another shape is one more point, ``algorithm@recipe@1x1``.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch

from codesign.blocks import DENSE, BlockShape, touching
from codesign.corpus.task import Task, load_task
from codesign.encoder import load_checkpoint, prunable_linears
from codesign.progress import Count, say
from codesign.prune.report import norm, report
from codesign.records import Record
from codesign.study.chain import Study
from codesign.study.points import Point
from codesign.study.pruned import is_published, publish, require_files
from codesign.train.evaluate import bag_of_words, fidelity, hits
from codesign.train.recipe import Recipe
from codesign.train.run import Pruning, Setting, identity, train

#: The notebook whose parameters say what is trained.
NOTEBOOK = "11_accuracy"
#: Pruned at once by this algorithm, and then trained as long as the others.
AT_ONCE = "magnitude"
#: The regularisation of the paper, made exact by a proximal step.
PROXIMAL = "group-lasso"
#: Parameters that go into the recipe.
RECIPE = ("task", "train_each", "test_each", "dense_steps", "prune_steps", "recover_steps", "learning_rate")
#: Parameters that every run has.
SHARED = ("model", "scope", "batch", "seq", "threads")


@dataclass(frozen=True, order=True)
class Run:
    """A training run: a point, dense or with a pruner ``algorithm@recipe``, and the recipe."""

    point: Point
    recipe: Recipe

    def __str__(self) -> str:
        algorithm = f" {self.point.pruner.partition('@')[0]} {self.recipe.schedule}" if self.pruning else ""
        return f"{self.point}{algorithm}, seed {self.point.seed}"

    @property
    def dense(self) -> Run:
        """The run whose model this one starts from."""
        return replace(self, point=self.point.dense)

    @property
    def pruning(self) -> Pruning | None:
        """What is pruned; None for a dense run."""
        point = self.point
        if point.shape is None:
            return None
        return Pruning(point.pruner.partition("@")[0], point.scope, point.shape, point.sparsity)

    def fields(self) -> dict[str, Any]:
        """The fields that find its `accuracy` record: whatever load the model will run under, it is trained once."""
        weights = ("model", "seed", "scope", "pruner", "block", "sparsity")
        key = self.recipe.key if self.pruning else self.recipe.dense_key
        return {name: getattr(self.point, name) for name in weights} | {"recipe": key}


@dataclass(frozen=True)
class Trainings:
    """The runs of a page, in groups; the first group begins with the dense model.

    ``unstructured`` are masks of single weights, as sparse as they must be at random to leave as many blocks of a shape
    empty as a run that was trained for that shape does.
    """

    shapes: list[Run]
    at_once: list[Run]
    unstructured: list[Run]
    repeats: list[Run]
    others: list[Run]
    proximal: list[Run]

    @property
    def runs(self) -> list[Run]:
        """Every run once, in the order in which an interrupted night is still worth something."""
        groups = (self.shapes, self.at_once, self.others, self.unstructured, self.repeats, self.proximal)
        return list(dict.fromkeys(run for group in groups for run in group))


def trainings(values: Mapping[str, Any]) -> Trainings:
    """Plan the runs from the parameters of the notebook by name; others are ignored.

    Raises
    ------
    InputError
        If a value breaks its parameter's rule.
    """
    recipe = Recipe(**{name: values[name] for name in RECIPE})
    main, sparsity, seed = [values["pruner"]], [values["sparsity"]], [values["seed"]]

    def plan(pruners: Sequence[str], blocks: Sequence[str], shares: Sequence[float] = sparsity) -> list[Run]:
        return runs(recipe, values, seed, pruners, shares, blocks)

    return Trainings(
        shapes=plan(main, [DENSE, *values["blocks"]]),
        at_once=runs(replace(recipe, schedule="one-shot"), values, seed, [AT_ONCE], sparsity, values["control_blocks"]),
        unstructured=[
            run for block in values["stored_blocks"] for run in plan(main, ["1x1"], [touching(sparsity[0], block)])
        ],
        repeats=runs(recipe, values, values["seeds"], main, values["sparsities"], [DENSE, *values["repeat_blocks"]]),
        others=plan(values["pruners"], values["pruner_blocks"]),
        proximal=plan([PROXIMAL], values["proximal_blocks"]),
    )


def runs(
    recipe: Recipe,
    values: Mapping[str, Any],
    seeds: Sequence[int],
    pruners: Sequence[str],
    sparsities: Sequence[float],
    blocks: Sequence[str],
) -> list[Run]:
    """Every seed by every algorithm, sparsity and block shape, where ``"dense"`` gives one dense run a seed.

    ``values`` has the parameters of `SHARED`; batch, seq and threads are the load under which latency is measured.
    """
    shared = {name: values[name] for name in SHARED}
    found = []
    for seed, pruner, sparsity, block in product(seeds, pruners, sparsities, blocks):
        shape = "1x1" if block == DENSE else block
        point = Point(seed=seed, pruner=f"{pruner}@{recipe.key}", block=shape, sparsity=float(sparsity), **shared)
        found.append(Run(point.dense if block == DENSE else point, recipe))
    return list(dict.fromkeys(found))


def ensure_trained(study: Study, runs: Sequence[Run]) -> list[Record]:
    """Train every run that still needs it; return the `accuracy` record of each, in order.

    Dense models are trained once for all runs that start from them. An interrupted run goes on where it stopped; its
    record is written last.

    Raises
    ------
    MissingRecord
        Reading committed results, if they lack a run.
    """
    for run in study.left(runs, "training", lambda run: _done(study, run)):
        _train(study, run)
    return [study.newest("accuracy", run.fields()) for run in runs]


def _done(study: Study, run: Run) -> bool:
    return bool(study.found("accuracy", run.fields())) and (not run.pruning or is_published(study, run.point))


def _train(study: Study, run: Run) -> None:
    recipe, point = run.recipe, run.point
    task, baseline = _task(recipe.task, recipe.train_each, recipe.test_each, study.build / "corpus")
    setting = Setting(point.model, recipe, task, point.seed)
    trained = dense = train(setting, _folder(study, run.dense, setting), report=_steps())
    zeros, steps = {"element_sparsity": 0.0, "block_sparsity": 0.0}, recipe.dense_steps
    if run.pruning:
        trained = train(setting, _folder(study, run, setting), run.pruning, dense, _steps())
        before, weights = (
            {name: weight.detach().numpy() for name, weight in each.model.matrices(point.scope).items()}
            for each in (dense, trained)
        )
        achieved = report(weights, run.pruning.block, norm(before.values()), recipe.allocation)
        publish(study, point, trained.model.bert, asdict(achieved))
        zeros, steps = {name: getattr(achieved, name) for name in zeros}, steps + recipe.steps
    right = hits(trained.test_logits, torch.tensor([example.label for example in task.test]))
    alike = fidelity(trained.test_embeddings.numpy(), dense.test_embeddings.numpy())
    about = {
        "task": task.name,
        "task_digest": task.digest,
        "labels": list(task.labels),
        "train_size": task.sizes(task.train),
        "test_size": task.sizes(task.test),
        "allocation": recipe.allocation,
        "settings": asdict(recipe),
        "steps": steps,
        "seconds": trained.seconds,
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "accuracy": right.count("1") / len(right),
        "hits": right,
        "baseline": baseline.count("1") / len(baseline),
        "baseline_hits": baseline,
        "majority": task.majority,
        "cosine": alike.cosine,
        "rank_correlation": alike.rank_correlation,
    }
    study.append("accuracy", point.fields(), run.fields(), about, zeros)


def _folder(study: Study, run: Run, setting: Setting) -> Path:
    """Folder of one run: what decides its result decides its name."""
    decides = json.dumps(identity(setting, run.pruning), sort_keys=True)
    readable = run.point.weights_key() if run.pruning else f"{Path(setting.model).name}-dense"
    return study.build / "trained" / f"{readable}-{hashlib.sha256(decides.encode()).hexdigest()[:12]}"


@functools.lru_cache(maxsize=2)
def _task(name: str, train_each: int | None, test_each: int | None, cache: Path) -> tuple[Task, str]:
    """Build a task, and what a bag of words answers."""
    say(f"building the task {name}")
    task = load_task(name, train_each=train_each, test_each=test_each, cache=cache)
    return task, bag_of_words(task)


def _steps() -> Callable[[int, int, float], None]:
    count = Count("step")
    return lambda done, steps, loss: count(done, steps, f", loss {loss:.3f}")


def ensure_stored(study: Study, points: Sequence[Point], blocks: Sequence[str]) -> list[Point]:
    """Publish the weights of each point as they are stored in the block shape of the same place; return those points.

    The weights, and so the right answers, stay as they were: what changes is how many zeros are computed.

    Raises
    ------
    MissingRecord
        If the weights are missing.
    """
    made = [stored_in(point, block) for point, block in zip(points, blocks, strict=True)]
    for point, target in zip(points, made, strict=True):
        if study.local and not is_published(study, target):
            model, _ = load_checkpoint(require_files(study, point).checkpoint)
            linears = prunable_linears(model, point.scope)
            weights = {name: linear.weight.detach().numpy() for name, linear in linears.items()}
            before = study.newest("pattern", point.fields())
            achieved = report(weights, BlockShape.parse(target.block), norm(weights.values()), before["allocation"])
            publish(study, target, model, asdict(achieved) | {"retained_l2": before["retained_l2"]})
    return made


def stored_in(point: Point, block: str) -> Point:
    """Return the point of the same weights in blocks of another shape."""
    return replace(point, pruner=f"{point.pruner}@{point.block}", block=block)
