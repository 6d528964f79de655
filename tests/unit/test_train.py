"""Training on a small encoder: masks, resumption, and what a run is worth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codesign.blocks import BlockShape, to_blocks
from codesign.corpus.task import Example, Task
from codesign.errors import InputError
from codesign.prune import PRUNERS
from codesign.prune.allocation import kept_blocks
from codesign.train import loop
from codesign.train.data import Order, tokenize
from codesign.train.evaluate import PAIRS, bag_of_words, fidelity, hits
from codesign.train.loop import distillation_loss
from codesign.train.recipe import Recipe
from codesign.train.run import Pruning, Setting, Trained, identity, train

LABELS = ("fruit", "metal")
WORDS = {"fruit": ["apple", "pear", "plum", "fig", "lime"], "metal": ["iron", "zinc", "gold", "tin", "lead"]}


def prune(setting: Setting, pruning: Pruning, dense: Trained, folder: Path, *report: loop.Report) -> Trained:
    return train(setting, folder, pruning, dense, *report)


def examples(count: int, seed: int) -> list[Example]:
    """Texts of eight words, six of any kind and two that tell."""
    rng = np.random.default_rng(seed)
    return [
        Example(" ".join([*rng.choice(list("abcdefgh"), 6), *rng.choice(WORDS[LABELS[n % 2]], 2)]), n % 2, str(n))
        for n in range(count)
    ]


TASK = Task("words", LABELS, examples(64, 0), (), examples(40, 1))
RECIPE = Recipe(task="words", dense_steps=60, prune_steps=12, recover_steps=4, batch=16, seq=10, learning_rate=5e-4)
SETTING = Setting("bert-tiny", RECIPE, TASK, seed=0)
PRUNING = Pruning("group-lasso", "all", BlockShape(32, 1), 0.75)


class Interrupted(Exception):
    """Raised by a test in the middle of a run."""


def interrupt_at(step: int) -> loop.Report:
    def report(done: int, steps: int, loss: float) -> None:
        if done == step:
            raise Interrupted

    return report


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(SETTING, tmp_path_factory.mktemp("dense"))


@pytest.fixture
def saves_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)


def equal(one: Trained, other: Trained) -> bool:
    a, b = one.model.state_dict(), other.model.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a) and torch.equal(one.test_logits, other.test_logits)


def test_the_dense_model_learns_and_is_read_back(dense: Trained, tmp_path: Path) -> None:
    right = hits(dense.test_logits, torch.tensor([example.label for example in TASK.test]))
    assert right.count("1") > 30
    assert dense.seconds > 0
    assert equal(train(SETTING, tmp_path), dense), "same seed, same machine, same result"
    assert equal(train(SETTING, tmp_path, report=interrupt_at(1)), dense), "finished work is not repeated"
    assert [path.name for path in tmp_path.iterdir()] == ["trained.pt"]
    assert not equal(train(replace(SETTING, seed=1), tmp_path / "other"), dense)


@pytest.mark.usefixtures("saves_every_step")
def test_an_interrupted_dense_run_goes_on(dense: Trained, tmp_path: Path) -> None:
    for step in (3, 7, RECIPE.dense_steps):
        with pytest.raises(Interrupted):
            train(SETTING, tmp_path, report=interrupt_at(step))
    seen: list[int] = []
    resumed = train(SETTING, tmp_path, report=lambda done, steps, loss: seen.append(done))
    assert seen == []
    assert equal(resumed, dense)


@pytest.mark.usefixtures("saves_every_step")
@pytest.mark.parametrize("pruner", ["magnitude", "reweighted", "movement"])
def test_a_resumed_run_equals_an_uninterrupted_one(pruner: str, dense: Trained, tmp_path: Path) -> None:
    pruning = replace(PRUNING, pruner=pruner)
    whole = prune(SETTING, pruning, dense, tmp_path / "whole")
    for step in (5, 11, 14):  # while sparsity rises, before the masks freeze, and after
        with pytest.raises(Interrupted):
            prune(SETTING, pruning, dense, tmp_path / "parts", interrupt_at(step))
    assert equal(prune(SETTING, pruning, dense, tmp_path / "parts"), whole)


@pytest.mark.parametrize("pruner", PRUNERS)
def test_zeros_are_exact_and_as_many_as_asked_for(pruner: str, dense: Trained, tmp_path: Path) -> None:
    recipe = replace(RECIPE, prune_steps=3, recover_steps=2)
    trained = prune(replace(SETTING, recipe=recipe), replace(PRUNING, pruner=pruner, scope="ffn"), dense, tmp_path)
    before = {name: value.clone() for name, value in dense.model.state_dict().items()}
    for name, weight in trained.model.matrices("ffn").items():
        stored = to_blocks(weight.detach().numpy(), PRUNING.block).any((2, 3))
        assert stored.sum() == kept_blocks(stored.size, 0.75), name
    assert all(weight.all() for weight in trained.model.matrices("attention").values()), "outside the scope"
    assert all(torch.equal(value, before[name]) for name, value in dense.model.state_dict().items())


def test_masks_stay_frozen_under_training(dense: Trained, tmp_path: Path) -> None:
    recipe = replace(RECIPE, schedule="one-shot", prune_steps=1, recover_steps=0)
    one = prune(replace(SETTING, recipe=recipe), replace(PRUNING, pruner="magnitude"), dense, tmp_path / "one")
    recipe = replace(recipe, prune_steps=4, recover_steps=2)
    six = prune(replace(SETTING, recipe=recipe), replace(PRUNING, pruner="magnitude"), dense, tmp_path / "six")
    for a, b in zip(one.model.matrices("all").values(), six.model.matrices("all").values(), strict=True):
        assert torch.equal(a == 0, b == 0)
        assert not torch.equal(a, b), "what is kept goes on learning"


def test_a_torn_file_is_refused(dense: Trained, tmp_path: Path) -> None:
    (tmp_path / "unfinished.pt").write_bytes(b"torn")
    with pytest.raises(InputError, match="a file that a training run wrote"):
        prune(SETTING, PRUNING, dense, tmp_path)


def test_whatever_decides_a_result_is_in_its_identity() -> None:
    names = [
        json.dumps(identity(setting, pruning), sort_keys=True)
        for setting in (SETTING, replace(SETTING, seed=1), replace(SETTING, recipe=replace(RECIPE, batch=8)))
        for pruning in (None, PRUNING, replace(PRUNING, sparsity=0.5), replace(PRUNING, block=BlockShape(4, 1)))
    ]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pruner": "group_lasso"}, "did you mean group-lasso"),
        ({"block": BlockShape(256, 1)}, "did you mean 128x1"),
        ({"sparsity": 1.0}, "did you mean 0.99"),
        ({"scope": "everything"}, "one of attention, ffn, all"),
    ],
)
def test_what_cannot_be_pruned_is_refused(changes: dict, message: str, dense: Trained, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        prune(SETTING, replace(PRUNING, **changes), dense, tmp_path)


def test_row_balanced_cannot_keep_less_than_a_block_a_row(dense: Trained, tmp_path: Path) -> None:
    setting = replace(SETTING, recipe=replace(RECIPE, allocation="row-balanced"))
    with pytest.raises(InputError, match=r"has 4 blocks a row.*did you mean 0\.75"):
        prune(setting, replace(PRUNING, block=BlockShape(32, 32), sparsity=0.9), dense, tmp_path)


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one with which training converges"):
        train(replace(SETTING, recipe=replace(RECIPE, learning_rate=1e30, dense_steps=9)), tmp_path)


def test_recipes_share_a_dense_model_unless_they_train_it_differently() -> None:
    pruned = replace(RECIPE, prune_steps=99, allocation="global", distillation=0.9)
    assert pruned.dense_key == RECIPE.dense_key
    assert pruned.key != RECIPE.key
    assert replace(RECIPE, seq=12).dense_key != RECIPE.dense_key


def test_distillation_is_the_loss_of_hinton() -> None:
    student, teacher = torch.randn(5, 3), torch.randn(5, 3)
    labels = torch.tensor([0, 1, 2, 0, 1])
    soft = [torch.softmax(each / 2, 1).double().numpy() for each in (student, teacher)]
    divergence = (soft[1] * np.log(soft[1] / soft[0])).sum(1).mean()
    told = -np.log(torch.softmax(student, 1).numpy()[range(5), labels]).mean()
    loss = distillation_loss(student, labels, teacher, RECIPE)
    assert float(loss) == pytest.approx(0.5 * told + 0.5 * 4 * divergence, rel=1e-4)
    assert float(distillation_loss(student, labels, None, RECIPE)) == pytest.approx(told, rel=1e-5)


@given(st.integers(1, 90), st.integers(1, 20), st.integers(0, 9))
def test_an_epoch_shows_every_example_once(count: int, batch: int, seed: int) -> None:
    lengths = torch.from_numpy(np.random.default_rng(seed).integers(1, 64, count))
    order = Order(lengths, batch, seed)
    size = min(batch, count)
    epoch = torch.cat([order.at(step) for step in range(count // size)])
    assert len(epoch) == len(set(epoch.tolist())) == count // size * size
    assert set(epoch.tolist()) <= set(range(count))
    assert torch.equal(order.at(3), Order(lengths, batch, seed).at(3))


def test_a_batch_has_little_padding() -> None:
    lengths = torch.arange(640) % 64
    order = Order(lengths, 8, 0)
    spans = [int(torch.max(lengths[rows]) - torch.min(lengths[rows])) for rows in map(order.at, range(80))]
    assert max(spans) < 24
    first = [int(lengths[order.at(step)].max()) for step in range(80)]
    assert first != sorted(first), "short and long batches alternate"


def test_words_of_a_model_without_a_language_are_hashed() -> None:
    data = tokenize("bert-tiny", 1000, [Example("one two, one", 0, ""), Example("!", 1, "")], seq=8)
    assert data.mask.tolist() == [[1] * 3 + [0] * 5, [1] + [0] * 7]
    assert data.ids[0, 0] == data.ids[0, 2] != data.ids[0, 1]
    ids, mask = data.rows(torch.tensor([0]))
    assert ids.shape == mask.shape == (1, 3)


def test_fidelity_of_a_model_to_itself_and_to_noise() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=(60, 16)).astype(np.float32)
    same = fidelity(3 * one, one)
    assert (same.cosine, same.rank_correlation) == pytest.approx((1, 1))
    other = fidelity(rng.normal(size=one.shape).astype(np.float32), one)
    assert abs(other.cosine) < 0.2
    assert abs(other.rank_correlation) < 5 / PAIRS**0.5
    monotone = fidelity(np.sign(one[:, :1]) * np.abs(one[:, :1]) ** 3, one[:, :1])
    assert monotone.rank_correlation == pytest.approx(1), "of ranks"
    assert fidelity(np.ones_like(one), one).rank_correlation == 0


def test_the_bag_of_words_knows_words_that_tell() -> None:
    right = bag_of_words(TASK)
    assert len(right) == 40
    assert right.count("1") > 35
