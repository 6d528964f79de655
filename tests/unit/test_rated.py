"""Models that rate sentences: what they are taught, what is recorded, and what is concluded from it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import Memory, machine, rating

from codesign.answers.accuracy import difference, share
from codesign.answers.frames import Frames, frame
from codesign.answers.ratings import dense_ratings, pearson, pearson_difference
from codesign.corpus import task as tasks
from codesign.corpus.reviews import AMAZON, MOVIES, Review
from codesign.encoder import load_encoder
from codesign.errors import InputError, RecordError
from codesign.forward import EncoderForward
from codesign.schema import validate
from codesign.study import rated
from codesign.study.chain import Study, open_study
from codesign.study.points import Case, Point
from codesign.study.pruned import files
from codesign.study.sessions import contender
from codesign.study.trained import Run, ensure_trained, runs
from codesign.train.data import tokenize
from codesign.train.evaluate import correlation, signs, words_rated
from codesign.train.loop import distillation_loss
from codesign.train.recipe import Recipe

WORDS = {"dire": -3, "dull": -1, "plain": 0, "fine": 1, "great": 3}
RECIPE = Recipe("reviews", 60, 30, dense_steps=4, prune_steps=2, recover_steps=1, batch=8, seq=16)
LOAD = {"model": "bert-tiny", "scope": "ffn", "batch": 1, "seq": 16, "threads": 2}


def sentences(domain: str) -> tuple[Review, ...]:
    """Sentences in which a word gives the rating away."""
    rng = np.random.default_rng(0)
    return tuple(
        Review(f"{domain} {n} is {word}", tuple(int(each) for each in WORDS[word] + rng.integers(-1, 2, 9)))
        for n, word in enumerate(rng.choice(list(WORDS), 400))
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CODESIGN_WORKSPACE", str(tmp_path_factory.mktemp("work")))
        patch.setattr(tasks.reviews, "reviews", sentences)
        rated.question.cache_clear()
        yield open_study("local", "quick")
        rated.question.cache_clear()


def planned(**changes: Any) -> list[Run]:
    what = {"seeds": [0], "pruners": ["magnitude"], "sparsities": [0.75], "blocks": ["dense", "32x1"]}
    return runs(RECIPE, LOAD, **what | changes)


def test_the_loss_of_ratings_is_a_squared_error_to_raters_and_teacher() -> None:
    said, teacher, ratings = torch.randn(6, 1), torch.randn(6, 1), torch.randn(6)
    told = float(((said[:, 0] - ratings) ** 2).mean())
    assert float(distillation_loss(said, ratings, None, RECIPE)) == pytest.approx(told, rel=1e-5)
    taught = float(((said - teacher) ** 2).mean())
    both = float(distillation_loss(said, ratings, teacher, replace(RECIPE, distillation=0.25)))
    assert both == pytest.approx(0.75 * told + 0.25 * taught, rel=1e-5)


def test_trained_models_that_rate_are_points_and_say_what_they_are_worth(study: Study) -> None:
    dense, pruned = planned()
    assert dense.point.pruner == f"none@{RECIPE.dense_key}"
    assert dense == pruned.dense
    ensure_trained(study, [dense, pruned])
    for run in (dense, pruned):
        amazon, movies = study.found("rating", run.point.fields())
        assert (movies["domain"], amazon["domain"], movies["engine"]) == (MOVIES, AMAZON, "torch-eager")
        assert (movies["train_size"], movies["test_size"], amazon["test_size"]) == (60, 30, 30)
        assert 0 < movies["raters_pearson"] < movies["ceiling_pearson"] < 1
        assert movies["task_digest"] != amazon["task_digest"]
        assert study.newest("pattern", run.point.fields())["block_sparsity"] == movies["block_sparsity"]
        assert contender(study, Case("openvino", run.point)).point["pruner"] == run.point.pruner
    assert movies["steps"] == 7
    assert movies["block_sparsity"] == pytest.approx(0.75, abs=0.01)


def test_what_an_engine_computes_is_judged_by_the_published_head(study: Study) -> None:
    (run,) = planned(blocks=["dense"])
    record = ensure_trained(study, [run])[0]
    asked = rated.question(MOVIES, 60, 30)
    checkpoint = files(study, run.point).checkpoint
    bert = load_encoder(str(checkpoint))
    data = tokenize("bert-tiny", bert.config.vocab_size, asked.task.test, 16)
    with torch.inference_mode():
        hidden = EncoderForward(bert)(data.ids, data.mask).numpy()
    said = asked.judge(rated.predictions(checkpoint, hidden, data.mask.numpy()), RECIPE)
    assert said["pearson"] == pytest.approx(record["pearson"], abs=1e-4)
    assert said["hits"] == record["hits"]


def test_a_finished_model_is_not_trained_again(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ensure_trained(study, planned())
    monkeypatch.setattr("codesign.train.run.fine_tune", lambda *_, **__: pytest.fail("trained again"))
    assert ensure_trained(study, planned()) == before


def test_words_learn_which_words_tell(study: Study) -> None:
    right, r = words_rated(tasks.load_task("reviews"))
    assert right.count("1") > 0.9 * len(right)
    assert r > 0.9


def test_signs_of_ratings_that_are_zero_do_not_count() -> None:
    assert signs(np.array([1.0, -2.0, 3.0, 0.1]), np.array([0.5, 0.5, 0.0, -1.0])) == "100"


def drawn(noise: float, count: int = 1500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    ratings = rng.normal(size=count)
    return ratings + noise * np.random.default_rng(9 + seed).normal(size=count), ratings


def test_influences_give_the_interval_that_a_bootstrap_gives() -> None:
    said, ratings = drawn(0.7)
    r, influence = correlation(said, ratings)
    assert r == pytest.approx(np.corrcoef(said, ratings)[0, 1])
    texts = np.random.default_rng(1).integers(len(ratings), size=(1000, len(ratings)))
    bootstrap = np.std([np.corrcoef(said[each], ratings[each])[0, 1] for each in texts])
    assert influence.std() / len(ratings) ** 0.5 == pytest.approx(bootstrap, rel=0.1)
    assert influence.mean() == pytest.approx(0, abs=1e-9)
    assert correlation(np.ones(5), ratings[:5])[0] == 0, "a model that says the same of every text"


def rows(noise: float, seeds: int = 1, **changes: Any) -> Any:
    return frame(rating(*drawn(noise + 0.02 * seed), seed=seed, **changes) for seed in range(seeds))


def test_a_paired_difference_of_correlations_is_surer_than_its_parts() -> None:
    better, worse = rows(0.7), rows(0.75)
    alone, paired = pearson(better), pearson_difference(better, worse)
    assert alone.low < alone.value < alone.high
    assert paired.value == pytest.approx(alone.value - pearson(worse).value)
    assert paired.high - paired.low < 0.2 * (alone.high - alone.low)
    assert pearson_difference(better, better).high == pytest.approx(0)
    assert difference(better, better).value == 0, "signs are hits like any others"
    three = rows(0.7, 3)
    assert pearson(three).value == pytest.approx(three["pearson"].mean())
    with pytest.raises(InputError, match="records of one task"):
        pearson_difference(better, rows(0.7, task_digest="other"))
    with pytest.raises(InputError, match=r"seed.*one of \[0\]"):
        pearson_difference(better, three[1:])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"influence": [0.5]}, "field 'influence': 1 values of 1500 sentences"),
        ({"hits": "1" * 1501}, "field 'hits': 1501 signs of 1500 sentences"),
        ({"sign_accuracy": 0.1}, "field 'sign_accuracy': is not the share of right signs in 'hits'"),
        ({"domain": "tweets"}, "domain"),
    ],
)
def test_a_record_must_agree_with_itself(changes: dict[str, Any], message: str) -> None:
    validate(rating(*drawn(0.7)))
    with pytest.raises(RecordError, match=message):
        validate(rating(*drawn(0.7), **changes))


def test_the_page_shows_the_newest_recipe_wherever_it_was_trained() -> None:
    here = [rating(*drawn(0.9), recipe="older"), rating(*drawn(0.9), engine="openvino-int8", format="int8")]
    newest = [rating(*drawn(0.7), seed=seed, domain=domain) for seed in range(2) for domain in (AMAZON, MOVIES)]
    movies, amazon = dense_ratings(Frames(Memory([machine(), *here, *newest]))).itertuples()
    assert (movies.domain, amazon.domain, movies.seeds, movies.whose) == (MOVIES, AMAZON, 2, "Test (AVX2)")
    assert movies.sign == share(frame(newest[1::2]))
    assert len(dense_ratings(Frames(Memory([machine()])))) == 0


def test_a_point_that_was_trained_and_not_pruned_is_dense() -> None:
    point = Point("minilm", 0, "none", "none@reviews-dense-1", "dense", 0.0, 1, 64, 2)
    assert point.shape is None
    assert point.weights_key() != point.dense.weights_key()
