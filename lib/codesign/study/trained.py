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
from codesign.corpus.task import REVIEWS, Task, load_task
from codesign.encoder import load_checkpoint, prunable_linears
from codesign.progress import Count, say
from codesign.prune.report import norm, report
from codesign.records import Record
from codesign.study.chain import Study
from codesign.study.points import TRAINED_DENSE, Case, Point
from codesign.study.pruned import files, is_published, publish, require_files
from codesign.study.rated import DOMAINS, EAGER, question, save_head
from codesign.train.data import tokenize
from codesign.train.evaluate import bag_of_words, fidelity, hits, outputs
from codesign.train.recipe import Recipe
from codesign.train.run import Pruning, Setting, Trained, identity, train

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
        """The run whose model this one starts from; a dense model that rates is a point of its own."""
        point = self.point.dense
        if self.recipe.kind == "rating":
            point = replace(point, pruner=TRAINED_DENSE + self.recipe.dense_key)
        return replace(self, point=point)

    @property
    def pruning(self) -> Pruning | None:
        """What is pruned; None for a dense run."""
        point = self.point
        if point.shape is None:
            return None
        return Pruning(point.pruner.partition("@")[0], point.scope, point.shape, point.sparsity)

    def fields(self) -> dict[str, Any]:
        """The fields that find its record: whatever load the model will run under, it is trained once.

        That is of the recipe's kind; of several `rating` records, the one that is written last.
        """
        weights = ("model", "seed", "scope", "pruner", "block", "sparsity")
        key = self.recipe.key if self.pruning else self.recipe.dense_key
        last = {"engine": EAGER, "domain": DOMAINS[-1]} if self.recipe.kind == "rating" else {}
        return {name: getattr(self.point, name) for name in weights} | {"recipe": key} | last


@dataclass(frozen=True)
class Trainings:
    """The runs of a page, in groups; the first group begins with the dense model.

    ``unstructured`` are masks of single weights, as sparse as they must be at random to leave as many blocks of a shape
    empty as a run that was trained for that shape does. ``rated`` are dense models of the task of ratings.
    """

    shapes: list[Run]
    at_once: list[Run]
    unstructured: list[Run]
    repeats: list[Run]
    others: list[Run]
    proximal: list[Run]
    rated: list[Run]

    @property
    def runs(self) -> list[Run]:
        """Every run but the rated once, in the order in which an interrupted night is still worth something."""
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
        rated=_rated(values),
    )


def _rated(values: Mapping[str, Any]) -> list[Run]:
    """One dense run a seed, under the load of its own sentences."""
    given = {name: values[f"rated_{name}"] for name in ("steps", "learning_rate")}
    recipe = Recipe(REVIEWS, None, None, dense_steps=given["steps"], learning_rate=given["learning_rate"])
    load = {**values, "batch": 1, "seq": recipe.seq}
    return runs(recipe, load, values["rated_seeds"], [AT_ONCE], [0.0], [DENSE])


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
        run = Run(point, recipe)
        found.append(run.dense if block == DENSE else run)
    return list(dict.fromkeys(found))


def ensure_trained(study: Study, runs: Sequence[Run]) -> list[Record]:
    """Train every run that still needs it; return the record of each (`Run.fields`), in order.

    Dense models are trained once for all runs that start from them. An interrupted run goes on where it stopped; its
    record is written last.

    Raises
    ------
    MissingRecord
        Reading committed results, if they lack a run.
    """
    for run in study.left(runs, "training", lambda run: _done(study, run)):
        _train(study, run)
    return [study.newest(run.recipe.kind, run.fields()) for run in runs]


def _done(study: Study, run: Run) -> bool:
    published = run.pruning or run.recipe.kind == "rating"
    return bool(study.found(run.recipe.kind, run.fields())) and (not published or is_published(study, run.point))


def _train(study: Study, run: Run) -> None:
    recipe, point = run.recipe, run.point
    task = _task(recipe.task, recipe.train_each, recipe.test_each, study.build / "corpus")
    setting = Setting(point.model, recipe, task, point.seed)
    trained = dense = train(setting, _folder(study, run.dense, setting), report=_steps())
    if run.pruning:
        trained = train(setting, _folder(study, run, setting), run.pruning, dense, _steps())
    zeros = {"element_sparsity": 0.0, "block_sparsity": 0.0}
    if run.pruning or task.rated:
        scope, shape = (point.scope, point.shape) if point.shape else ("all", BlockShape(1, 1))
        before, weights = (
            {name: weight.detach().numpy() for name, weight in each.model.matrices(scope).items()}
            for each in (dense, trained)
        )
        achieved = report(weights, shape, norm(before.values()), recipe.allocation)
        publish(study, point, trained.model.bert, asdict(achieved))
        zeros = {name: getattr(achieved, name) for name in zeros}
    about = {
        "steps": recipe.dense_steps + (recipe.steps if run.pruning else 0),
        "seconds": trained.seconds,
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        **run.fields(),
        **zeros,
    }
    if task.rated:
        _rate(study, run, trained, about)
        return
    right = hits(trained.test_logits, torch.tensor([example.label for example in task.test]))
    words = _words(recipe.task, recipe.train_each, recipe.test_each, study.build / "corpus")
    alike = fidelity(trained.test_embeddings.numpy(), dense.test_embeddings.numpy())
    judged = {
        "task": task.name,
        "task_digest": task.digest,
        "labels": list(task.labels),
        "train_size": task.sizes(task.train),
        "test_size": task.sizes(task.test),
        "allocation": recipe.allocation,
        "settings": asdict(recipe),
        "accuracy": right.count("1") / len(right),
        "hits": right,
        "baseline": words.count("1") / len(words),
        "baseline_hits": words,
        "majority": task.majority,
        "cosine": alike.cosine,
        "rank_correlation": alike.rank_correlation,
    }
    study.append("accuracy", point.fields(), about, judged)


def _rate(study: Study, run: Run, trained: Trained, about: Mapping[str, Any]) -> None:
    """Publish the head of a model that rates, and record what it says of each domain."""
    save_head(trained.model.head, files(study, run.point).checkpoint)
    model, recipe = trained.model, run.recipe
    for domain in DOMAINS:
        asked = question(domain, recipe.train_each, recipe.test_each)
        data = tokenize(run.point.model, model.bert.config.vocab_size, asked.task.test, recipe.seq)
        said = asked.judge(outputs(model, data)[0][:, 0].numpy(), recipe)
        study.append("rating", Case(EAGER, run.point).fields(), about, said)


def _folder(study: Study, run: Run, setting: Setting) -> Path:
    """Folder of one run: what decides its result decides its name."""
    decides = json.dumps(identity(setting, run.pruning), sort_keys=True)
    readable = run.point.weights_key() if run.pruning else f"{Path(setting.model).name}-dense"
    return study.build / "trained" / f"{readable}-{hashlib.sha256(decides.encode()).hexdigest()[:12]}"


@functools.lru_cache(maxsize=2)
def _task(name: str, train_each: int | None, test_each: int | None, cache: Path) -> Task:
    say(f"building the task {name}")
    return load_task(name, train_each=train_each, test_each=test_each, cache=cache)


@functools.lru_cache(maxsize=2)
def _words(*task: Any) -> str:
    """What a bag of words answers to a task that is given as to `_task`."""
    return bag_of_words(_task(*task))


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
