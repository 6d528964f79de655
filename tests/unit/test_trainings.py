"""What is trained for the page on accuracy: the plan, its order, and the command that runs it alone."""

from __future__ import annotations

from typing import Any

import pytest

from codesign import cli
from codesign.study import profile_file
from codesign.study import trainings as module
from codesign.study.trained import Run
from codesign.study.trainings import NOTEBOOK, touching, trainings


def section(profile: str, **changes: Any) -> dict[str, Any]:
    return profile_file.section(profile_file.path_of(profile), NOTEBOOK) | changes


def own(**changes: Any) -> dict[str, Any]:
    return profile_file.defaults(NOTEBOOK) | changes


def said(runs: list[Run]) -> list[str]:
    return [str(run) for run in runs]


def test_every_shape_comes_first_and_then_what_it_is_compared_with() -> None:
    blocks = {"blocks": ["4x1", "1x1"], "control_blocks": ["1x1", "4x1"], "stored_blocks": ["2x2"]}
    others = {"pruners": ["movement"], "pruner_blocks": ["4x1"], "proximal_blocks": ["1x1"]}
    planned = trainings(own(**blocks, **others, repeat_blocks=[], seeds=[0]))
    assert said(planned.runs) == [
        "minilm dense, seed 0",
        "minilm all 4x1 80% magnitude cubic, seed 0",
        "minilm all 1x1 80% magnitude cubic, seed 0",
        "minilm all 1x1 80% magnitude one-shot, seed 0",
        "minilm all 4x1 80% magnitude one-shot, seed 0",
        "minilm all 4x1 80% movement cubic, seed 0",
        "minilm all 1x1 95% magnitude cubic, seed 0",
        "minilm all 1x1 80% group-lasso cubic, seed 0",
    ]
    assert [(run.point.block, run.point.sparsity) for run in planned.unstructured] == [("1x1", 0.9457)]


def test_controls_take_as_many_steps_and_start_from_the_same_dense_model() -> None:
    planned = trainings(section("full"))
    assert {run.dense.fields()["recipe"] for run in planned.runs} == {planned.runs[0].fields()["recipe"]}
    assert len({run.recipe.steps for run in planned.runs}) == 1
    assert planned.steps == planned.runs[0].recipe.dense_steps * 3 + planned.runs[0].recipe.steps * (
        len(planned.runs) - 3
    )


def test_the_paper_profile_has_every_run_that_was_promised() -> None:
    planned = trainings(section("full"))
    shapes = {"1x1", "4x1", "8x1", "16x1", "32x1", "64x1", "1x32", "4x4", "16x16", "32x32"}
    assert {run.point.block for run in planned.shapes} == {"dense", *shapes}
    repeats = {(run.point.block, run.point.sparsity, run.point.seed) for run in planned.repeats if run.pruning}
    assert repeats == {(b, s, n) for b in ("4x1", "32x1", "32x32") for s in (0.5, 0.8, 0.9) for n in (0, 1, 2)}
    others = {(run.point.pruner.partition("@")[0], run.point.block) for run in planned.others}
    names = {"group-lasso", "reweighted", "movement", "l1", "random"}
    assert others == {(name, block) for name in names for block in ("1x1", "4x1", "32x1")}
    assert {(run.point.pruner.partition("@")[0], run.point.block) for run in planned.proximal} == {
        ("group-lasso", block) for block in shapes
    }
    assert len(planned.runs) == len(set(planned.runs)), "what two groups share is trained once"


@pytest.mark.parametrize(("block", "area"), [("4x1", 4), ("32x1", 32), ("16x16", 256)])
def test_a_random_mask_leaves_that_share_of_blocks_empty(block: str, area: int) -> None:
    assert touching(0.8, block) ** area == pytest.approx(0.8, abs=0.02)
    assert touching(0.8, "1x1") == 0.8


def test_the_command_trains_and_does_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(module, "ensure_trained", lambda study, runs: seen.append((study.profile, study.local, runs)))
    assert cli.main(["train", "--profile", "quick"]) == 0
    assert seen == [("quick", True, trainings(section("quick")).runs)]
    assert cli.main(["train"]) == 0
    assert seen[1:] == [("default", True, trainings(own()).runs)]
    assert cli.main(["train", "-p", "pruner=movement"]) == 0
    assert seen[2][2] == trainings(own(pruner="movement")).runs
    assert cli.main(["train", "-p", "pruner=group"]) == cli.main(["train", "--profile", "smok"]) == 2
