"""What is concluded from a trained model: claims, numbers, and the shape to prune to."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import Memory, Record, accuracy, judged, latency, trained

from codesign.errors import MissingRecord
from codesign.study import accuracy_claims as claims
from codesign.study.accuracy_claims import ACCURACY_CLAIMS, accuracy_numbers
from codesign.study.evidence import Evidence
from codesign.study.judged import accuracy_rows, against_others, loss, newest_recipe, other_rows, sparsity_rows
from codesign.study.points import Point
from codesign.study.stored import stored_in
from codesign.study.worth import acceptable, pattern_rows, patterns, stored, stored_rows, usable, worth_rows


def evidence(records: list[Record]) -> Evidence:
    return Evidence(Memory(records))


def test_effects_of_the_claims() -> None:
    seen = evidence(trained())
    effects = {id: (effect(seen), threshold) for id, _, effect, threshold, _ in ACCURACY_CLAIMS}
    values = {id: effect.value for id, (effect, _) in effects.items()}
    assert values == {
        "accuracy-baseline": pytest.approx(0.3),
        "accuracy-trained": pytest.approx(0.065),  # of 32x1: 0.885 - 0.82
        "accuracy-blocks": pytest.approx(0.19),  # of 4x1: 0.89 - 0.7
        "patterns-trained": pytest.approx(1.5 / 1.6, rel=0.01),  # of 32x1
        "prune-to": pytest.approx(2.0 / 1.5, rel=0.01),
    }
    assert effects["accuracy-trained"][0].low > effects["accuracy-trained"][1]
    assert effects["patterns-trained"][0].high < effects["patterns-trained"][1], "6% apart is not alike"


@pytest.mark.parametrize("id", [id for id, *_ in ACCURACY_CLAIMS])
def test_what_was_not_measured_is_named(id: str) -> None:
    effect = next(effect for name, _, effect, *_ in ACCURACY_CLAIMS if name == id)
    with pytest.raises(MissingRecord, match="11_accuracy"):
        effect(evidence([]))


def test_the_shape_to_prune_to_is_the_fastest_that_loses_little() -> None:
    found = newest_recipe([r for r in trained() if r["kind"] == "accuracy"])
    timed = [r for r in trained() if r["kind"] == "latency"]
    assert [r["block"] for r in acceptable(found, timed)] == ["32x1", "4x1"]
    worse = newest_recipe([*found.records, judged("32x1", 0.86)])
    assert [r["block"] for r in acceptable(worse, timed)] == ["4x1"], "it loses four points"
    (row,) = worth_rows(worse, timed)
    assert (row["block"], row["sparsity"], row["ms"], row["lost"][:5]) == ("4x1", "80%", "2.00", "+1.0 ")
    assert row["over"].startswith("1.50")
    assert acceptable(found, []) == []
    alone = latency("tvm-bsr", "all", "32x1", 9.0, model="minilm", pruner="group-lasso@cubic", session_id="alone")
    assert [r["block"] for r in acceptable(found, [*timed, alone])] == ["32x1", "4x1"], "timed side by side"


def test_a_claim_does_not_rest_on_a_flagged_session() -> None:
    records = [r | {"flagged": True} if r["kind"] == "latency" else r for r in trained()]
    for effect in (claims.likeness, claims.lead_of_choice, claims.over_unstructured):
        with pytest.raises(MissingRecord):
            effect(evidence(records))
    assert "prune-to.model" not in dict(accuracy_numbers(evidence(records)))


def test_controls_and_failed_timings_do_not_count() -> None:
    good = latency("tvm-bsr", "all", "4x1", 1.0)
    bad = [
        good | {"control": "A/A"},
        good | {"status": "failed"},
        good | {"engine": "openvino"},
    ]
    assert usable([good, *bad]) == [good]


def test_patterns_are_compared_in_one_session() -> None:
    found = newest_recipe([r for r in trained() if r["kind"] == "accuracy"])
    timed = [r for r in trained() if r["kind"] == "latency"]
    pairs = patterns(found, timed, 0.8)
    assert {block: (a["pruner"], b["pruner"]) for block, (a, b) in pairs.items()} == dict.fromkeys(
        ("4x1", "32x1"), ("group-lasso@cubic", "random")
    )
    assert [row["ratio"][:4] for row in pattern_rows(pairs)] == ["1.00", "0.94"]
    flagged = patterns(found, [r | {"flagged": True} for r in timed], 0.8)
    assert all(row["ratio"].endswith("(flagged)") for row in pattern_rows(flagged))
    apart = [r | {"session_id": r["pruner"]} for r in timed]
    assert patterns(found, apart, 0.8) == {}


def test_patterns_that_differ_either_way_are_not_alike() -> None:
    for slow, fast in (("random", "group-lasso@cubic"), ("group-lasso@cubic", "random")):
        timed = [
            latency("tvm-bsr", "all", "4x1", ms, model="minilm", pruner=name, spread=0.001)
            for name, ms in ((slow, 2.0), (fast, 1.0))
        ]
        effect = claims.likeness(evidence([judged("dense", 0.9), judged("4x1", 0.89), *timed]))
        assert effect.low <= effect.value <= effect.high < claims.ALIKE
        assert effect.value == pytest.approx(0.5, rel=0.01)


def test_an_unstructured_mask_is_compared_where_it_was_stored() -> None:
    point = Point("minilm", 0, "all", "group-lasso@cubic", "1x1", 0.9457, 1, 128, 2)
    assert (stored_in(point, "4x1").pruner, stored_in(point, "4x1").block) == ("group-lasso@cubic@1x1", "4x1")
    found = newest_recipe([r for r in trained() if r["kind"] == "accuracy"])
    (row,) = stored(found, [r for r in trained() if r["kind"] == "latency"], 0.8)
    assert (row.block, row.sparsity) == ("4x1", 0.9457)
    assert stored_rows([row])[0]["sparsity"] == "94.6%"
    assert stored_rows([row])[0]["slower"].startswith("1.10")


def test_shapes_that_were_trained_at_several_sparsities_are_laid_out_with_all_seeds() -> None:
    dense = [judged("dense", 0.9, seed=seed) for seed in range(2)]
    some = [judged("32x1", 0.8, seed=seed, sparsity=s) for s in (0.9, 0.5) for seed in range(2)]
    other = [judged("4x1", 0.85, sparsity=s) for s in (0.5, 0.9)]
    alone = [judged("8x1", 0.7, sparsity=0.9), judged("4x1", 0.6, sparsity=0.9457)]
    rows = sparsity_rows(newest_recipe([*dense, *some, *other, *alone]))
    assert [(row["block"], row["sparsity"], row["seeds"]) for row in rows] == [
        *(("4x1", "50%", "1"), ("4x1", "90%", "1")),
        *(("32x1", "50%", "2"), ("32x1", "90%", "2")),
    ]
    assert rows[0]["lost"].startswith("+5.0 ")
    assert sparsity_rows(newest_recipe([*dense, *other[:1]])) == []


def test_one_recipe_counts_and_the_algorithm_of_most_models_is_the_main_one() -> None:
    older = [judged("4x1", 0.5, task_digest="older"), judged("8x1", 0.5, task_digest="older")]
    shapes = [judged("dense", 0.9), judged("4x1", 0.8, "magnitude"), judged("4x1", 0.85, "reweighted")]
    found = newest_recipe([*older, *shapes, judged("8x1", 0.85, "reweighted"), judged("8x1", 0.1, profile="try")])
    assert found.main == "reweighted"
    assert {block: r[0]["accuracy"] for block, r in found.shapes(0.8).items()} == {"4x1": 0.85, "8x1": 0.85}
    assert found.algorithms() == ["magnitude"]
    assert [row["how"] for row in accuracy_rows(found, 0.8)] == ["trained for blocks"] * 2 + ["magnitude"]
    with pytest.raises(MissingRecord, match="accuracy"):
        newest_recipe([judged("dense", 0.9)])


def test_other_algorithms_are_compared_shape_by_shape() -> None:
    magnitude = [judged(block, share, "magnitude") for block, share in (("32x1", 0.8), ("4x1", 0.85), ("8x1", 0.84))]
    others = [judged("32x1", 0.7, "group-lasso"), judged("4x1", 0.9, "movement"), judged("64x1", 0.1, "movement")]
    at_once = judged("4x1", 0.2, "magnitude", schedule="one-shot")
    found = newest_recipe([judged("dense", 0.9), *magnitude, *others, at_once])
    leads = {
        block: {name: lead.value for name, lead in each.items()} for block, each in against_others(found, 0.8).items()
    }
    assert leads == {"4x1": {"movement": pytest.approx(-0.05)}, "32x1": {"group-lasso": pytest.approx(0.1)}}
    low, tall = other_rows(found, 0.8)
    assert (low["block"], low["group-lasso"], low["movement"][:5]) == ("4x1", "not trained", "-5.0 ")
    assert (tall["block"], tall["group-lasso"][:6], tall["movement"]) == ("32x1", "+10.0 ", "not trained")
    assert other_rows(found, 0.5) == []


def test_a_loss_is_against_the_dense_model_of_the_same_seed() -> None:
    seeds = [judged("dense", 0.9 - 0.1 * seed, seed=seed) for seed in range(3)]
    pruned = [judged("4x1", 0.7, seed=1), judged("4x1", 0.6, seed=2)]
    assert loss(newest_recipe([*seeds, *pruned]), pruned).value == pytest.approx(0.1)


def test_numbers_of_the_page() -> None:
    numbers = dict(accuracy_numbers(evidence(trained())))
    assert numbers["accuracy.dense"].startswith("90.0% (")
    assert numbers["accuracy.words"].startswith("60.0% (")
    assert numbers["accuracy.32x1.lost"].startswith("+1.5 (")
    assert numbers["accuracy.steps"] == "30"
    assert numbers["prune-to.model"] == "32x1 at 80%"
    assert numbers["prune-to.ms"] == "1.50 ms"
    lost = [*trained(), *(judged(block, 0.5) for block in ("4x1", "32x1"))]
    assert dict(accuracy_numbers(evidence(lost)))["prune-to.model"] == "none of those that were measured"
    assert dict(accuracy_numbers(evidence([accuracy("all", "4x1", 0.8, model="bert-tiny")]))) == {}
