"""Training as a step of the chain: what is done once, what is published, and for whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from codesign import cli
from codesign.blocks import touching
from codesign.commands import book
from codesign.encoder import load_checkpoint, prunable_linears
from codesign.errors import InputError, MissingRecord
from codesign.forward import EncoderForward
from codesign.prune.allocation import kept_blocks
from codesign.records import Results
from codesign.study import profile_file, pruned, sessions
from codesign.study.chain import Study, open_study
from codesign.study.points import Case, Point
from codesign.study.pruned import ensure_pruned, files
from codesign.study.trained import NOTEBOOK, Run, ensure_stored, ensure_trained, runs, trainings
from codesign.train.recipe import Recipe


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """A task of two labels that a word gives away, and few steps."""
    folder = tmp_path_factory.mktemp("task") / "films"
    folder.mkdir()
    for name, count in (("train", 60), ("dev", 20)):
        rows = [f"{name} film {n} is {'good' if n % 2 else 'bad'}\t{n % 2}" for n in range(count)]
        (folder / f"{name}.tsv").write_text("\n".join(["sentence\tlabel", *rows]) + "\n")
    return Recipe(task=str(folder), dense_steps=3, prune_steps=3, recover_steps=1, batch=8, seq=8)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    """One for all tests here, so that the dense model is trained once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CODESIGN_WORKSPACE", str(tmp_path_factory.mktemp("work")))
        yield open_study("local", "quick")


SHARED = {"model": "bert-tiny", "scope": "ffn", "batch": 1, "seq": 16, "threads": 2}


def planned(recipe: Recipe, **changes: Any) -> list[Run]:
    what = {"seeds": [0], "pruners": ["group-lasso"], "sparsities": [0.75], "blocks": ["dense", "32x1"]}
    return runs(recipe, SHARED, **what | changes)


def test_a_sweep_has_a_dense_run_of_each_seed_and_every_algorithm(recipe: Recipe) -> None:
    runs = planned(recipe, seeds=[0, 1], pruners=["magnitude", "movement"], blocks=["dense", "4x1", "1x1"])
    assert len(runs) == 2 * (1 + 2 * 2)
    assert [run.point.block for run in runs[:5]] == ["dense", "4x1", "1x1", "4x1", "1x1"]
    assert runs[0].pruning is None
    assert runs[3].pruning is not None
    assert runs[3].pruning.pruner == "movement"
    assert {run.dense for run in runs if run.point.seed == 1} == {runs[5]}
    assert str(runs[1]) == "bert-tiny ffn 4x1 75% magnitude cubic, seed 0"
    assert len({run.point.weights_key() for run in runs[1:5]}) == 4
    with pytest.raises(InputError, match="did you mean group-lasso"):
        planned(recipe, pruners=["group_lasso"])


def test_trained_models_are_points_of_the_chain(study: Study, recipe: Recipe) -> None:
    dense_run, run = planned(recipe)
    dense, found = ensure_trained(study, [dense_run, run])
    assert (dense["pruner"], dense["block"], dense["block_sparsity"], dense["cosine"]) == ("none", "dense", 0, 1)
    assert (dense["steps"], found["steps"]) == (3, 7)
    assert found["pruner"] == run.point.pruner == f"group-lasso@{recipe.key}"
    assert 0 < found["cosine"] < 1
    assert len(found["hits"]) == 20
    assert found["task"] == "films"
    pattern = study.newest("pattern", run.point.fields())
    for matrix in pattern["matrices"]:
        assert matrix["nnz_blocks"] == kept_blocks(matrix["blocks"], 0.75)
    assert pattern["block_sparsity"] == found["block_sparsity"] == pytest.approx(0.75, abs=0.01)
    where = files(study, run.point)
    model, extra = load_checkpoint(where.checkpoint)
    assert extra == run.point.fields()
    assert all((linear.weight == 0).any() for linear in prunable_linears(model, "ffn").values())
    inputs = np.load(where.inputs)
    with torch.inference_mode():
        output = EncoderForward(model)(*map(torch.from_numpy, inputs.values()))
    assert np.abs(output.numpy() - np.load(where.expected)["last_hidden_state"]).max() < 1e-5
    contender = sessions.contender(study, Case("openvino", run.point))
    assert contender.point["block_sparsity"] == pattern["block_sparsity"]


def test_a_trained_mask_is_stored_in_other_blocks(study: Study, recipe: Recipe) -> None:
    (run,) = planned(recipe, blocks=["1x1"], pruners=["magnitude"])
    ensure_trained(study, [run])
    (point,) = ensure_stored(study, [run.point], ["4x1"])
    assert (point.block, point.pruner) == ("4x1", f"{run.point.pruner}@1x1")
    own, stored = (study.newest("pattern", each.fields()) for each in (run.point, point))
    assert own["element_sparsity"] == stored["element_sparsity"]
    assert own["retained_l2"] == stored["retained_l2"] < 1
    assert 0 < stored["block_sparsity"] < own["block_sparsity"]
    assert ensure_pruned(study, [point]) == [stored], "a point like any other"
    first, second = (load_checkpoint(files(study, each).checkpoint)[0].state_dict() for each in (run.point, point))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_finished_runs_are_not_trained_again(
    study: Study, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = planned(recipe)
    first = ensure_trained(study, runs)

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("codesign.train.run.fine_tune", refuse)
    assert ensure_trained(study, runs) == first
    for path in files(study, runs[1].point):
        if path.is_file():
            path.unlink()
    capsys.readouterr()
    _, again = ensure_trained(study, runs)
    assert again["hits"] == first[1]["hits"], "published again from what was trained"
    assert "training: 1 done" in capsys.readouterr().err
    other_load = [replace(run, point=replace(run.point, batch=2)) for run in runs]
    ensure_trained(study, other_load)
    assert files(study, other_load[1].point).complete


def test_an_interrupted_run_goes_on(study: Study, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = planned(recipe, blocks=["8x1"])

    def fail(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pruned, "_save_expected", fail)
        with pytest.raises(KeyboardInterrupt):
            ensure_trained(study, [run])
    assert not study.found("accuracy", run.fields()), "the record is written last"
    assert len(ensure_trained(study, [run])) == 1


def test_reading_does_no_work_and_names_who_does(study: Study, recipe: Recipe, tmp_path: Path) -> None:
    reading = replace(study, results=Results("xeon", tmp_path / "nowhere"))
    with pytest.raises(MissingRecord, match="11_accuracy makes it"):
        ensure_trained(reading, planned(recipe))


def test_a_point_may_say_how_its_pruner_was_trained() -> None:
    Point("minilm", 0, "all", "group-lasso@anything-1", "32x1", 0.8, 1, 128, 2)
    with pytest.raises(InputError, match="did you mean group-lasso"):
        Point("minilm", 0, "all", "group-laso@anything-1", "32x1", 0.8, 1, 128, 2)


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


def test_the_full_profile_has_every_run_that_was_promised() -> None:
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
    monkeypatch.setattr(book, "ensure_trained", lambda study, runs: seen.append((study.profile, study.local, runs)))
    assert cli.main(["train", "--profile", "quick"]) == 0
    assert seen == [("quick", True, trainings(section("quick")).runs)]
    assert cli.main(["train"]) == 0
    assert seen[1:] == [("default", True, trainings(own()).runs)]
    assert cli.main(["train", "-p", "pruner=movement"]) == 0
    assert seen[2][2] == trainings(own(pruner="movement")).runs
    assert cli.main(["train", "-p", "pruner=group"]) == cli.main(["train", "--profile", "smok"]) == 2
