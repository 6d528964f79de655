"""Which models are trained for the page on accuracy, the most telling ones first.

The order is that in which an interrupted night is still worth something: every block shape once, the control that is
pruned at once, other algorithms, unstructured masks, further seeds and sparsities, and at last the proximal method in
every shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from codesign.blocks import DENSE, BlockShape
from codesign.records import Record
from codesign.study.chain import Study
from codesign.study.trained import Run, ensure_trained, trained_sweep
from codesign.train import Recipe

#: The notebook whose parameters say what is trained.
NOTEBOOK = "11_accuracy"
#: Pruned at once by this algorithm, and then trained as long as the others.
AT_ONCE = "magnitude"
#: The regularisation of the paper, made exact by a proximal step.
PROXIMAL = "group-lasso"
#: Parameters that go into the recipe.
RECIPE = ("task", "train_each", "test_each", "dense_steps", "prune_steps", "recover_steps", "learning_rate")


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
        """Every run once, in order."""
        groups = (self.shapes, self.at_once, self.others, self.unstructured, self.repeats, self.proximal)
        return list(dict.fromkeys(run for group in groups for run in group))

    @property
    def steps(self) -> int:
        """Steps of training in all."""
        return sum(run.recipe.steps if run.pruning else run.recipe.dense_steps for run in self.runs)


def trainings(values: Mapping[str, Any]) -> Trainings:
    """Plan the runs.

    Parameters
    ----------
    values
        Parameters of the notebook by name; others are ignored.

    Raises
    ------
    InputError
        If a value breaks its parameter's rule.
    """
    recipe = Recipe(**{name: values[name] for name in RECIPE})
    load = {name: values[name] for name in ("model", "scope", "batch", "seq", "threads")}

    def sweep(
        pruners: Iterable[str],
        blocks: Sequence[str],
        sparsities: Sequence[float],
        seeds: Sequence[int] = (values["seed"],),
        schedule: str = "cubic",
    ) -> list[Run]:
        return trained_sweep(
            replace(recipe, schedule=schedule),
            pruners=list(pruners),
            blocks=blocks,
            sparsities=sparsities,
            seeds=seeds,
            **load,
        )

    main, sparsity = [values["pruner"]], [values["sparsity"]]
    return Trainings(
        shapes=sweep(main, [DENSE, *values["blocks"]], sparsity),
        at_once=sweep([AT_ONCE], values["control_blocks"], sparsity, schedule="one-shot"),
        unstructured=[
            run
            for block in values["stored_blocks"]
            for run in sweep(main, ["1x1"], [touching(values["sparsity"], block)])
        ],
        repeats=sweep(main, [DENSE, *values["repeat_blocks"]], values["sparsities"], values["seeds"]),
        others=[run for name in values["pruners"] for run in sweep([name], values["pruner_blocks"], sparsity)],
        proximal=sweep([PROXIMAL], values["proximal_blocks"], sparsity),
    )


def ensure_trainings(study: Study, planned: Trainings) -> list[Record]:
    """Train what is missing, in order; return the `accuracy` record of each run.

    Raises
    ------
    MissingRecord
        Reading committed results, if they lack a run.
    """
    return ensure_trained(study, planned.runs)


def touching(sparsity: float, block: str) -> float:
    """Sparsity at which a random mask of single weights leaves a share ``sparsity`` of the blocks without any."""
    return round(sparsity ** (1 / BlockShape.parse(block).area), 4)
