"""How a model is trained: everything that decides the result beside the model, what is pruned, and the seed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

from codesign.corpus.task import DOCSTRINGS, REVIEWS

#: Settings that the dense model's training does not depend on.
_OF_PRUNING = ("allocation", "schedule", "prune_steps", "recover_steps", "temperature", "distillation")


@dataclass(frozen=True, order=True)
class Recipe:
    """Settings of a training run.

    A run has up to four parts: the dense model learns the task for ``dense_steps``; from there, sparsity rises for
    ``prune_steps`` while the dense model teaches; what is left is removed; ``recover_steps`` follow with frozen masks.
    With the schedule ``one-shot`` all is removed at once and the same number of steps follows.

    Parameters
    ----------
    task
        As in `codesign.corpus.task.load_task`.
    train_each, test_each
        Examples of each label, at most (in all, where texts are rated); None: all.
    allocation, schedule
        As in `codesign.prune.sparsifier.Sparsifier`.
    dense_steps, prune_steps, recover_steps
        Steps of each part, at least 1 (recovery: 0).
    batch, seq
        Examples a step, and tokens at most of each.
    learning_rate
        Highest learning rate of AdamW: it rises over a tenth of the steps of the dense model, or of the pruned one, and
        falls to zero, both linearly.
    head_rate
        How many times faster the classification head learns, which starts from nothing.
    weight_decay
        Of matrices; biases and normalisation have none.
    temperature, distillation
        The loss is (1 - distillation) * cross entropy + distillation * temperature^2 * KL(teacher || student), with
        both logits divided by the temperature (Hinton and others, 2015). Where texts are rated, both
        are squared errors.
    """

    task: str = DOCSTRINGS
    train_each: int | None = 1500
    test_each: int | None = 400
    allocation: str = "uniform"
    schedule: str = "cubic"
    dense_steps: int = 600
    prune_steps: int = 300
    recover_steps: int = 150
    batch: int = 32
    seq: int = 64
    learning_rate: float = 1e-4
    head_rate: float = 10.0
    weight_decay: float = 0.01
    temperature: float = 2.0
    distillation: float = 0.5

    @property
    def kind(self) -> str:
        """Kind of the records that say what a model trained by it is worth."""
        return "rating" if self.task == REVIEWS else "accuracy"

    @property
    def steps(self) -> int:
        """Steps that a pruned model takes after the dense one is trained."""
        return self.prune_steps + self.recover_steps

    @property
    def key(self) -> str:
        """Readable name with a digest of every setting."""
        return f"{PurePath(self.task).name}-{self.schedule}-{self.allocation}-{_digest(asdict(self))}"

    @property
    def dense_key(self) -> str:
        """Name of the settings that the dense model depends on: recipes that share it share their dense model."""
        settings = {name: value for name, value in asdict(self).items() if name not in _OF_PRUNING}
        return f"{PurePath(self.task).name}-dense-{_digest(settings)}"


def _digest(settings: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
