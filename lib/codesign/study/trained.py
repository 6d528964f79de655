"""Accuracy: dense and pruned models trained on a task, recorded, and published for the rest of the chain.

A pruned model that was trained is a point like any other; its pruner reads ``algorithm@recipe``. Its checkpoint is an
ordinary encoder with exact zeros, so `codesign.study.artefacts` and `codesign.study.sessions` take it as it is.
"""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from codesign.blocks import DENSE
from codesign.corpus import Task, load_task
from codesign.encoder import save_checkpoint
from codesign.progress import duration, say, step, track
from codesign.prune import PruneReport, norm, report
from codesign.records import Record
from codesign.study.chain import Study
from codesign.study.parameters import check
from codesign.study.points import Point
from codesign.study.pruned import files, save_expected
from codesign.train import Pruning, Recipe, Setting, Trained, bag_of_words, fidelity, hits, identity, train


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


def trained_sweep(
    recipe: Recipe,
    *,
    model: str,
    seeds: Sequence[int],
    scope: str,
    pruners: Sequence[str],
    blocks: Sequence[str],
    sparsities: Sequence[float],
    batch: int,
    seq: int,
    threads: int,
) -> list[Run]:
    """Every seed by every algorithm, sparsity and block shape; ``"dense"`` gives one dense run a seed, the first.

    Parameters
    ----------
    recipe
        How all of them are trained.
    model, seeds, scope, pruners, blocks, sparsities, batch, seq, threads
        As in `codesign.study.points.Point`; the last three are the load under which latency will be measured.

    Raises
    ------
    InputError
        If a value breaks its parameter's rule.
    """
    shapes = [block for block in blocks if block != DENSE]
    if shapes:
        check("blocks", shapes)
    runs = []
    for seed in seeds:
        pruned = [
            Run(Point(model, seed, scope, f"{name}@{recipe.key}", block, float(s), batch, seq, threads), recipe)
            for name in pruners
            for s in sparsities
            for block in shapes
        ]
        # the fields of the algorithm do not matter to the dense run
        some = Point(model, seed, scope, "magnitude", "1x1", 0.5, batch, seq, threads)
        runs += [*([Run(some.dense, recipe)] if DENSE in blocks else []), *pruned]
    return runs


def ensure_trained(study: Study, runs: Sequence[Run]) -> list[Record]:
    """Train every run that still needs it; return the `accuracy` record of each, in order.

    Dense models are trained once for all runs that start from them. An interrupted run goes on where it stopped; its
    record is written last.

    Raises
    ------
    MissingRecord
        Reading committed results, if they lack a run.
    """
    if study.local:
        for run in track([run for run in runs if not _done(study, run)], "training"):
            _train(study, run)
    return [study.newest("accuracy", run.fields()) for run in runs]


def _done(study: Study, run: Run) -> bool:
    published = files(study, run.point).complete and study.found("pattern", run.point.fields())
    return bool(study.found("accuracy", run.fields()) and (published or not run.pruning))


def _train(study: Study, run: Run) -> None:
    task, _ = _task(study, run.recipe)
    setting = Setting(run.point.model, run.recipe, task, run.point.seed)
    dense = train(setting, _folder(study, run.dense, setting), report=_Progress("dense model"))
    if run.pruning is None:
        return _record(study, run, dense, dense, None)
    trained = train(setting, _folder(study, run, setting), run.pruning, dense, _Progress("pruned model"))
    return _record(study, run, trained, dense, _publish(study, run, trained, dense))


def _folder(study: Study, run: Run, setting: Setting) -> Path:
    """Folder of one run: what decides its result decides its name."""
    decides = json.dumps(identity(setting, run.pruning), sort_keys=True)
    readable = run.point.weights_key() if run.pruning else f"{Path(setting.model).name}-dense"
    return study.build / "trained" / f"{readable}-{hashlib.sha256(decides.encode()).hexdigest()[:12]}"


def _task(study: Study, recipe: Recipe) -> tuple[Task, str]:
    return _task_and_baseline(recipe.task, recipe.train_each, recipe.test_each, study.build / "corpus")


@functools.lru_cache(maxsize=2)
def _task_and_baseline(name: str, train_each: int | None, test_each: int | None, cache: Path) -> tuple[Task, str]:
    """Build a task, and what a bag of words answers."""
    say(f"building the task {name}")
    task = load_task(name, train_each=train_each, test_each=test_each, cache=cache)
    return task, bag_of_words(task)


def _publish(study: Study, run: Run, trained: Trained, dense: Trained) -> PruneReport:
    """Write the pruned encoder where the chain expects it, what PyTorch computes with it, and its pattern."""
    assert run.point.shape is not None, "only pruned models are published"
    scope = run.point.scope
    before, weights = (
        {name: weight.detach().numpy() for name, weight in each.model.matrices(scope).items()}
        for each in (dense, trained)
    )
    achieved = report(weights, run.point.shape, norm(before.values()), run.recipe.allocation)
    where = files(study, run.point)
    model = trained.model.bert
    save_checkpoint(model, where.checkpoint, run.point.fields())
    save_expected(where, model, run.point)
    study.append("pattern", asdict(achieved), run.point.fields())
    return achieved


def _record(study: Study, run: Run, trained: Trained, dense: Trained, achieved: PruneReport | None) -> None:
    task, baseline = _task(study, run.recipe)
    right = hits(trained.test_logits, torch.tensor([example.label for example in task.test]))
    alike = fidelity(trained.test_embeddings.numpy(), dense.test_embeddings.numpy())
    study.append(
        "accuracy",
        run.point.fields(),
        run.fields(),
        {
            "task": task.name,
            "task_digest": task.digest,
            "labels": list(task.labels),
            "train_size": task.sizes(task.train),
            "test_size": task.sizes(task.test),
            "allocation": run.recipe.allocation,
            "settings": asdict(run.recipe),
            "steps": run.recipe.dense_steps + (run.recipe.steps if achieved else 0),
            "seconds": trained.seconds,
            "device": "cuda" if torch.cuda.is_available() else "cpu",
            "accuracy": right.count("1") / len(right),
            "hits": right,
            "baseline": baseline.count("1") / len(baseline),
            "baseline_hits": baseline,
            "majority": task.majority,
            "cosine": alike.cosine,
            "rank_correlation": alike.rank_correlation,
            "element_sparsity": achieved.element_sparsity if achieved else 0.0,
            "block_sparsity": achieved.block_sparsity if achieved else 0.0,
        },
    )


class _Progress:
    """Say how far a run is, and about how much time is left."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.first: tuple[int, float] | None = None  # a resumed run does not start at step 1

    def __call__(self, done: int, steps: int, loss: float) -> None:
        now = time.monotonic()
        if self.first is None:
            self.first = done, now
        elif done < steps:
            left = (now - self.first[1]) / (done - self.first[0]) * (steps - done)
            step(f"{self.what}: step {done}/{steps}, loss {loss:.3f}, about {duration(left)} left")
