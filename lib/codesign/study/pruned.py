"""Step 1: pruned checkpoints, and what PyTorch computes with them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers

from codesign.blocks import BlockShape
from codesign.corpus.docstrings import sentences
from codesign.encoder import (
    example_inputs,
    has_tokenizer,
    load_encoder,
    prunable_linears,
    save_checkpoint,
    sentence_inputs,
)
from codesign.engines.base import OUTPUT
from codesign.errors import MissingRecord
from codesign.folders import appearing
from codesign.forward import EncoderForward
from codesign.prune import prune_model
from codesign.prune.report import PruneReport
from codesign.records import Record
from codesign.study.chain import Study
from codesign.study.points import Point, by_scope

#: At least so many rows are calibrated on.
CALIBRATION = 32


class Pruned(NamedTuple):
    """The files of a point."""

    checkpoint: Path
    """Hugging Face directory of the pruned encoder."""
    inputs: Path
    """The encoder's inputs by name, int64[batch, seq] (npz)."""
    expected: Path
    """What fp32 PyTorch computes from them, by name: float32[batch, seq, hidden] (npz)."""

    @property
    def complete(self) -> bool:
        """Whether everything is there."""
        return all(path.exists() for path in self)


def files(study: Study, point: Point) -> Pruned:
    """Name the files of a point, whether they exist or not."""
    load = study.build / "examples" / f"{point.weights_key()}-b{point.batch}-s{point.seq}"
    return Pruned(study.build / "models" / point.weights_key(), load / "inputs.npz", load / "outputs.npz")


def require_files(study: Study, point: Point) -> Pruned:
    """Return the files of a point.

    Raises
    ------
    MissingRecord
        Naming the notebook that makes them.
    """
    found = files(study, point)
    if not found.complete:
        raise MissingRecord("checkpoint", point.fields(), "notebook 01_prune", found.checkpoint)
    return found


def is_published(study: Study, point: Point) -> bool:
    """Whether the files and the `pattern` record of a point are there."""
    return files(study, point).complete and bool(study.found("pattern", point.fields()))


def ensure_pruned(study: Study, points: Sequence[Point]) -> list[Record]:
    """Prune every point that still needs it; return the `pattern` record of each point, in order.

    Raises
    ------
    MissingRecord
        Reading committed results, if they lack a point.
    """
    for point in study.left(points, "pruning", lambda point: is_published(study, point)):
        _prune(study, point)
    return [study.newest("pattern", point.fields()) for point in points]


def example_weights(points: Sequence[Point]) -> dict[str, np.ndarray]:
    """Prune the first matrix of the first scope alone, once for each block shape.

    Returns
    -------
    dict[str, np.ndarray]
        Block shape -> float32 [out, in], exactly as it is in the pruned encoder.
    """
    pruned = next(iter(by_scope(points).values()))
    whole = load_encoder(pruned[0].model, seed=pruned[0].seed)
    del whole.encoder.layer[1:]  # masks of a matrix do not depend on the other matrices
    examples = {}
    for point in pruned:
        model = copy.deepcopy(whole)
        prune_as(point, model)
        examples[point.block] = next(iter(prunable_linears(model, point.scope).values())).weight.numpy()
    return examples


def _prune(study: Study, point: Point) -> None:
    model = load_encoder(point.model, seed=point.seed, encoder_only=study.encoder_only)
    publish(study, point, model, asdict(prune_as(point, model)))


def publish(study: Study, point: Point, model: transformers.BertModel, achieved: Mapping[str, Any]) -> None:
    """Write a pruned encoder, what PyTorch computes with it, and its `pattern` record."""
    where = files(study, point)
    save_checkpoint(model, where.checkpoint, point.fields())
    _save_expected(where, model, point)
    if not study.found("pattern", point.fields()):  # else only the files had been cleaned away
        study.append("pattern", achieved, point.fields())


def prune_as(point: Point, model: transformers.BertModel, allocation: str = "uniform") -> PruneReport:
    """Prune in place; sparsity 0 changes nothing, so that the dense point gets its record like any other."""
    dense = point.shape is None
    return prune_model(
        model,
        scope="all" if dense else point.scope,
        pruner="magnitude" if dense else point.pruner,
        block=point.shape or BlockShape(1, 1),
        sparsity=point.sparsity,
        seed=point.seed,
        allocation=allocation,
    )


def ensure_calibration(study: Study, point: Point) -> Path:
    """Write what engines take the ranges of activations from, unless it is there: none of it is ever timed.

    Returns
    -------
    Path
        Inputs by name, int64[rows, seq], several batches of them (npz); the same whatever was pruned.
    """
    folder = study.build / "calibration" / f"{point.dense.weights_key()}-b{point.batch}-s{point.seq}"
    if not folder.exists():
        model = load_encoder(str(require_files(study, point).checkpoint))
        rows = point.batch * -(-CALIBRATION // point.batch)
        with appearing(folder) as work:
            np.savez(work / "inputs.npz", **_inputs(model, point, rows, skip=point.batch))  # type: ignore[arg-type]
    return folder / "inputs.npz"


def _inputs(model: transformers.BertModel, point: Point, rows: int, skip: int = 0) -> dict[str, np.ndarray]:
    """Sentences, after so many others, where the model has a language; else random tokens."""
    if has_tokenizer(point.model):
        return sentence_inputs(point.model, sentences(skip + rows)[skip:], point.seq)
    drawn = example_inputs(model, skip + rows, point.seq, point.seed)
    return {name: array[skip:] for name, array in drawn.items()}


def _save_expected(where: Pruned, model: transformers.BertModel, point: Point) -> None:
    """Write inputs and outputs; the folder appears complete or not at all."""
    inputs = _inputs(model, point, point.batch)
    with torch.inference_mode():
        output = EncoderForward(model)(*map(torch.from_numpy, inputs.values())).numpy()
    with appearing(where.expected.parent) as work:
        np.savez(work / where.inputs.name, **inputs)  # type: ignore[arg-type]  # a name of ours is no option of savez
        np.savez(work / where.expected.name, **{OUTPUT: output})
