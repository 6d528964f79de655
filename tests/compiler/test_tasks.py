"""Tasks of real models by allocation: an operator's sizes say which task it is, so padding may be counted by sizes."""

from __future__ import annotations

import pytest

from codesign.compiler.operators import Linear
from codesign.errors import InputError
from codesign.study.lowered import describe, lower_allocated
from codesign.study.points import Point

POINT = Point("bert-tiny", 0, "all", "magnitude", "4x1", 0.8, 1, 32, 2)


@pytest.fixture(scope="module")
def tasks() -> dict[str, list[dict]]:
    return {name: describe(lower_allocated(POINT, name)) for name in ("uniform", "global")}


@pytest.mark.parametrize("allocation", ["uniform", "global"])
def test_sizes_tell_sparse_tasks_apart_as_their_structure_does(tasks: dict, allocation: str) -> None:
    sparse = [task for task in tasks[allocation] if task["family_kind"] == "bsr"]
    assert sum(task["weight"] for task in sparse) == 12  # two layers of six linears
    assert len({Linear(**task["linear"]) for task in sparse}) == len({task["digest"] for task in sparse}) == len(sparse)


def test_a_uniform_budget_leaves_one_task_for_each_size_and_epilogue(tasks: dict) -> None:
    sparse = [task["linear"] for task in tasks["uniform"] if task["family_kind"] == "bsr"]
    kinds = {(linear["outputs"], linear["inputs"], linear["epilogue"]) for linear in sparse}
    assert len(sparse) == len(kinds) < sum(task["family_kind"] == "bsr" for task in tasks["global"])


def test_a_point_that_is_not_pruned_is_refused() -> None:
    with pytest.raises(InputError, match="block='dense'"):
        lower_allocated(POINT.dense, "uniform")
