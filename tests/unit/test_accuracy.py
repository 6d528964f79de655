"""Conclusions from accuracy records."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import accuracy

from codesign.errors import InputError, RecordError
from codesign.schema import validate
from codesign.study import accuracy as study


def seeds(share: float, count: int = 3, **changes: Any) -> list[dict[str, Any]]:
    return [accuracy("all", "32x1", share - 0.01 * seed, seed=seed, **changes) for seed in range(count)]


def test_a_mean_over_seeds_lies_in_its_interval() -> None:
    one, three = study.accuracy(seeds(0.8, 1)), study.accuracy(seeds(0.8))
    assert one.value == pytest.approx(0.8)
    assert three.value == pytest.approx(0.79)
    for interval in (one, three):
        assert 0.04 < interval.value - interval.low < 0.09
        assert 0.04 < interval.high - interval.value < 0.09
    assert study.accuracy(seeds(0.8), hits="baseline_hits").value == pytest.approx(0.6)
    assert study.accuracy(seeds(0.8)) == three


def test_a_paired_difference_is_surer_than_its_parts() -> None:
    better, worse = seeds(0.8), seeds(0.72)
    paired = study.difference(better, worse)
    assert paired.value == pytest.approx(0.08)
    assert 0.02 < paired.low < paired.high < 0.14
    assert study.difference(better, worse[::-1]) == paired, "paired by seed, not by order"
    assert study.difference(better, better) == study.Interval(0, 0, 0)
    unequal = study.difference(better, worse[:1])
    assert unequal.value == pytest.approx(0.07)
    assert unequal.low < 0.07 < unequal.high
    assert study.difference(better, better, hits="baseline_hits").value == pytest.approx(0.19)


def test_answers_to_different_tasks_are_not_compared() -> None:
    with pytest.raises(InputError, match="records of one task"):
        study.difference(seeds(0.8), seeds(0.7, task_digest="another"))
    with pytest.raises(InputError, match="records of one task"):
        study.accuracy([])


def test_the_newest_record_of_each_seed_counts() -> None:
    older, newer = seeds(0.7), seeds(0.8, 2)
    groups = study.by_model([*older, *newer, accuracy("none", "dense", 0.9)])
    assert groups[("magnitude", "all", "32x1", 0.8)] == [*newer, older[2]]
    assert len(groups) == 2


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
def test_a_record_must_agree_with_itself(changes: dict, message: str) -> None:
    validate(accuracy("all", "32x1", 0.8))
    with pytest.raises(RecordError, match=message):
        validate(accuracy("all", "32x1", 0.8, **changes))
