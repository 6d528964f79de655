"""What is concluded from trained models: right answers, what they cost in time, and the shape to prune to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import Memory, Record, accuracy, judged, latency, trained

from codesign.answers import effects
from codesign.answers import tradeoff as answers
from codesign.answers.accuracy import AT_ONCE, TRAINED, difference, leads, models, newest_recipe, share
from codesign.answers.frames import Frames, frame, where
from codesign.errors import InputError, MissingRecord, RecordError
from codesign.measure.ratios import Interval
from codesign.schema import validate
from codesign.study.points import Point
from codesign.study.trained import stored_in

CLAIMED = ("over-words", "over-at-once", "over-unstructured", "trained-alike", "lead-of-choice")


def of(records: list[Record], kind: str, **changes: Any) -> Any:
    return frame(record | changes for record in records if record["kind"] == kind)


def seeds(right: float, count: int = 3, **changes: Any) -> Any:
    return frame(accuracy("all", "32x1", right - 0.01 * seed, seed=seed, **changes) for seed in range(count))


@pytest.fixture(scope="module")
def recipe() -> Any:
    return newest_recipe(of(trained(), "accuracy"))


@pytest.fixture(scope="module")
def timed() -> Any:
    return of(trained(), "latency")


def test_a_mean_over_seeds_lies_in_its_interval() -> None:
    one, three = share(seeds(0.8, 1)), share(seeds(0.8))
    assert (one.value, three.value) == (pytest.approx(0.8), pytest.approx(0.79))
    for interval in (one, three):
        assert 0.04 < interval.value - interval.low < 0.09
        assert 0.04 < interval.high - interval.value < 0.09
    assert share(seeds(0.8), "baseline_hits").value == pytest.approx(0.6)
    assert share(seeds(0.8)) == three


def test_a_paired_difference_is_surer_than_its_parts() -> None:
    better, worse = seeds(0.8), seeds(0.72)
    paired = difference(better, worse)
    assert paired.value == pytest.approx(0.08)
    assert 0.02 < paired.low < paired.high < 0.14
    assert difference(better, worse[::-1]) == paired, "paired by seed, not by order"
    assert difference(better, better) == Interval(0, 0, 0)
    assert difference(better, worse[1:]).value == pytest.approx(0.08), "the seeds that both have"
    assert difference(better, better, "baseline_hits").value == pytest.approx(0.19)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InputError, match="records of one task"):
        difference(seeds(0.8), seeds(0.7, task_digest="another"))
    with pytest.raises(InputError, match=r"seed.*one of \[0\]"):
        difference(seeds(0.8, 1), seeds(0.7)[1:])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hits": "1" * 199}, "field 'hits': 199 answers to 200 questions"),
        ({"baseline": 0.9}, "field 'baseline': is not the share of right answers in 'baseline_hits'"),
        ({"hits": "2" * 200}, "hits"),
        ({"allocation": "fair"}, "allocation"),
        ({"cosine": 1.5}, "cosine"),
    ],
)
def test_a_record_must_agree_with_itself(changes: dict[str, Any], message: str) -> None:
    validate(accuracy("all", "32x1", 0.8))
    with pytest.raises(RecordError, match=message):
        validate(accuracy("all", "32x1", 0.8, **changes))


def test_one_recipe_counts_and_the_algorithm_of_most_models_is_the_main_one() -> None:
    older = [judged("4x1", 0.5, task_digest="older"), judged("8x1", 0.5, task_digest="older")]
    shapes = [judged("dense", 0.9), judged("4x1", 0.8, "magnitude"), judged("4x1", 0.7, "reweighted")]
    again = [judged("4x1", 0.85, "reweighted"), judged("8x1", 0.85, "reweighted")]
    found = models(newest_recipe(frame([*older, *shapes, *again])))
    assert [(row.block, row.how, row.right.value) for row in found.itertuples()] == [
        *(("4x1", "magnitude", pytest.approx(0.8)), ("4x1", TRAINED, pytest.approx(0.85))),
        ("8x1", TRAINED, pytest.approx(0.85)),
    ]
    for lacking in ([judged("dense", 0.9)], [judged("4x1", 0.9)], []):
        with pytest.raises(MissingRecord, match="accuracy"):
            newest_recipe(frame(lacking))


def test_a_loss_is_against_the_dense_model_of_the_same_seed() -> None:
    dense = [judged("dense", 0.9 - 0.1 * seed, seed=seed) for seed in range(3)]
    (model,) = models(
        newest_recipe(frame([*dense, judged("4x1", 0.7, seed=1), judged("4x1", 0.6, seed=2)]))
    ).itertuples()
    assert (model.seeds, model.lost.value) == (2, pytest.approx(0.1))


def test_every_other_way_is_compared_shape_by_shape() -> None:
    magnitude = [judged(block, right, "magnitude") for block, right in (("32x1", 0.8), ("4x1", 0.85), ("8x1", 0.84))]
    others = [judged("32x1", 0.7, "group-lasso"), judged("4x1", 0.9, "movement"), judged("64x1", 0.1, "movement")]
    at_once = judged("4x1", 0.2, "magnitude", schedule="one-shot")
    found = newest_recipe(frame([judged("dense", 0.9), *magnitude, *others, at_once]))
    assert {(row.block, row.how): row.lead.value for row in leads(found, 0.8).itertuples()} == {
        ("4x1", "movement"): pytest.approx(-0.05),
        ("4x1", AT_ONCE): pytest.approx(0.65),
        ("32x1", "group-lasso"): pytest.approx(0.1),
    }
    assert leads(found, 0.5).empty


def test_effects_of_the_claims() -> None:
    frames = Frames(Memory(trained()))
    values = {name: effects.value(frames, name) for name in CLAIMED}
    assert {name: found.value for name, found in values.items()} == {
        "over-words": pytest.approx(0.3),
        "over-at-once": pytest.approx(0.065),  # of 32x1: 0.885 - 0.82
        "over-unstructured": pytest.approx(0.19),  # of 4x1: 0.89 - 0.7
        "trained-alike": pytest.approx(1.5 / 1.6, rel=0.01),  # of 32x1
        "lead-of-choice": pytest.approx(2.0 / 1.5, rel=0.01),
    }
    assert values["trained-alike"].high < 0.95, "6% apart is not alike"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("accuracy.dense", "90.0% ("),
        ("accuracy.words", "60.0% ("),
        ("prune-to", "32x1 at 80%"),
        ("judged-and-timed", "2"),
        ("trained-over-random.4x1", "1.00"),
    ],
)
def test_numbers_of_pages(key: str, text: str) -> None:
    assert effects.text(Frames(Memory(trained())), key).startswith(text)
    with pytest.raises(MissingRecord):
        effects.text(Frames(Memory([])), key)


@pytest.mark.parametrize("name", CLAIMED)
def test_what_was_not_measured_is_named(name: str) -> None:
    with pytest.raises(MissingRecord, match="11_accuracy"):
        effects.value(Frames(Memory([])), name)


def test_where_all_lose_too_much_there_is_none_to_prune_to() -> None:
    lost = [*trained(), *(judged(block, 0.5) for block in ("4x1", "32x1"))]
    assert effects.text(Frames(Memory(lost)), "prune-to") == "none of those that were measured"


def test_the_shape_to_prune_to_is_the_fastest_that_loses_little(recipe: Any, timed: Any) -> None:
    fast, slow = answers.acceptable(recipe, timed).itertuples()
    assert (fast.block, slow.block) == ("32x1", "4x1")
    assert slow.ms == pytest.approx(2.0, rel=0.01)
    dense = answers.dense_beside(fast.record, timed)
    assert dense is not None
    assert dense["engine"] == "openvino"
    worse = newest_recipe(frame([*recipe["record"], judged("32x1", 0.86)]))
    assert list(answers.acceptable(worse, timed)["block"]) == ["4x1"], "the other loses four points"
    alone = latency("tvm-bsr", "all", "32x1", 9.0, model="minilm", pruner="group-lasso@cubic", session_id="alone")
    assert list(answers.acceptable(recipe, frame([*timed["record"], alone]))["ms"]) == [fast.ms, slow.ms], (
        "side by side"
    )
    failed = of(trained(), "latency", status="failed")
    assert answers.acceptable(recipe, failed).empty


def test_a_claim_does_not_rest_on_a_flagged_session() -> None:
    records = [r | {"flagged": True} if r["kind"] == "latency" else r for r in trained()]
    for name in ("trained-alike", "lead-of-choice", "over-unstructured", "prune-to"):
        with pytest.raises(MissingRecord):
            effects.value(Frames(Memory(records)), name)


def test_patterns_are_compared_in_one_session(recipe: Any, timed: Any) -> None:
    found = answers.patterns(recipe, timed, 0.8)
    assert [(row.block, row.remark, f"{row.ratio.value:.2f}") for row in found.itertuples()] == [
        ("4x1", "", "1.00"),
        ("32x1", "", "0.94"),
    ]
    assert set(answers.patterns(recipe, of(trained(), "latency", flagged=True), 0.8)["remark"]) == {" (flagged)"}
    apart = frame(record | {"session_id": record["pruner"]} for record in timed["record"])
    assert answers.patterns(recipe, apart, 0.8).empty


@pytest.mark.parametrize("slow", ["random", "group-lasso@cubic"])
def test_patterns_that_differ_either_way_are_not_alike(slow: str) -> None:
    times = dict.fromkeys(("random", "group-lasso@cubic"), 1.0) | {slow: 2.0}
    made = [
        latency("tvm-bsr", "all", "4x1", ms, model="minilm", pruner=pruner, spread=0.001)
        for pruner, ms in times.items()
    ]
    found = effects.value(Frames(Memory([judged("dense", 0.9), judged("4x1", 0.89), *made])), "trained-alike")
    assert isinstance(found, Interval)
    assert found.low <= found.value == pytest.approx(0.5, rel=0.01)
    assert found.high < 0.95


def test_an_unstructured_mask_is_compared_where_it_was_stored(recipe: Any, timed: Any) -> None:
    point = Point("minilm", 0, "all", "group-lasso@cubic", "1x1", 0.9457, 1, 128, 2)
    assert (stored_in(point, "4x1").pruner, stored_in(point, "4x1").block) == ("group-lasso@cubic@1x1", "4x1")
    (row,) = answers.stored(recipe, timed, 0.8).itertuples()
    assert (row.block, row.sparsity) == ("4x1", 0.9457)
    assert row.ratio.value == pytest.approx(1.1, rel=0.01)


def test_a_point_needs_both_and_is_best_unless_beaten_both_ways() -> None:
    dense, minilm = judged("dense", 0.9), {"model": "minilm", "pruner": "group-lasso@cubic"}
    times = [latency("tvm-bsr", "all", block, ms, **minilm) for block, ms in (("4x1", 9.0), ("32x1", 5.0))]
    for right, best in (((0.8, 0.7), [True, True]), ((0.7, 0.8), [False, True])):
        rows = newest_recipe(frame([dense, judged("4x1", right[0]), judged("32x1", right[1]), judged("8x1", 0.99)]))
        found = answers.points(rows, frame(times))
        assert (list(found["block"]), list(found["best"])) == (["4x1", "32x1"], best)
    assert answers.points(rows, where(frame(times), engine="openvino")).empty
