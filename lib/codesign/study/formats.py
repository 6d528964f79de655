"""What the number format of an engine costs a model that rates sentences."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np

from codesign import machine
from codesign.encoder import load_checkpoint
from codesign.engines import Job, Refused, find
from codesign.engines.base import OUTPUT
from codesign.engines.client import Worker
from codesign.forward import input_names
from codesign.progress import say
from codesign.records import Record
from codesign.study.chain import Study
from codesign.study.points import Case
from codesign.study.pruned import CALIBRATION, require_files
from codesign.study.rated import DOMAINS, predictions, question
from codesign.study.trained import Run, ensure_trained
from codesign.train.data import Data, tokenize

#: Fields of the record of the same model in PyTorch that hold whatever engine runs it.
_SAME = ("recipe", "steps", "seconds", "device", "element_sparsity", "block_sparsity")


def ensure_rated_by(study: Study, runs: Sequence[Run], engines: Sequence[str]) -> list[Record]:
    """Let engines run models that rate, a sentence at a time; return the `rating` records of all that can.

    Activations are calibrated on sentences that the model was taught, as a user would do it.

    Parameters
    ----------
    runs
        Rated ones, trained where they are not.
    engines
        Those that need no artefact of ours. One that is not installed, or takes no such model, is left out.

    Raises
    ------
    MissingRecord
        Reading committed results, if they lack a run.
    """
    ensure_trained(study, runs)

    def last(run: Run, engine: str) -> dict[str, object]:
        return {**run.fields(), **Case(engine, run.point).fields(), "domain": DOMAINS[-1]}

    here = [engine for engine in engines if find(engine).unavailable() is None]
    able = {f"{engine}, {run}": (run, engine) for run, engine in product(runs, here)}
    for name in study.left(list(able), "rating with", lambda name: study.found("rating", last(*able[name]))):
        try:
            _rate(study, *able[name])
        except Refused as refusal:
            say(str(refusal))
    return [record for each in able.values() for record in study.found("rating", last(*each))[-1:]]


def _rate(study: Study, run: Run, engine: str) -> None:
    checkpoint, case = require_files(study, run.point).checkpoint, Case(engine, run.point)
    before = study.newest("rating", run.fields())
    config = load_checkpoint(checkpoint)[0].config
    names = input_names(config)
    with machine.exclusive(f"rating with {engine}"), tempfile.TemporaryDirectory(prefix="codesign-rated-") as folder:

        def write(name: str, data: Data) -> Path:
            arrays = {"input_ids": data.ids.numpy(), "attention_mask": data.mask.numpy()}
            arrays["token_type_ids"] = np.zeros_like(arrays["input_ids"])
            np.savez(Path(folder) / name, **{each: arrays[each] for each in names})  # type: ignore[arg-type]
            return Path(folder) / name

        questions = [question(domain, run.recipe.train_each, run.recipe.test_each) for domain in DOMAINS]
        sides = [each.task.test for each in questions]
        taught, *asked = (
            tokenize(run.point.model, config.vocab_size, side, run.recipe.seq)
            for side in (questions[0].task.train[:CALIBRATION], *sides)
        )
        one = Data(taught.ids[:1], taught.mask[:1], taught.labels[:1])
        paths = str(write("one.npz", one)), str(write("taught.npz", taught))
        job = Job(engine, str(checkpoint), None, paths[0], run.point.threads, calibration=paths[1])
        with Worker(job) as worker:
            worker.prepare()
            for each, data in zip(questions, asked, strict=True):
                hidden = worker.evaluate(write("asked.npz", data))[OUTPUT]
                said = each.judge(predictions(checkpoint, hidden, data.mask.numpy()), run.recipe)
                study.append("rating", {name: before[name] for name in _SAME}, case.fields(), said)
