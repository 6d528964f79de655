"""What search records say: how far from the best, who leads, and what tuning from nothing takes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import Memory, point, search, searches, tuning

from codesign.errors import MissingRecord
from codesign.schema import validate
from codesign.study.evidence import Evidence
from codesign.study.numbers import numbers
from codesign.study.replay import Table, best_so_far, guided_search, random_search
from codesign.study.searched import compared, excess, lead, margin, seconds_until_close, standing

BOTH = [*searches(768), *searches(3072)]


def nothing(curve: list[list[float | None]], **changes: object) -> dict:
    return tuning("tvm-bsr", curve=curve, **point("all", "32x1"), from_nothing=True, **changes)


def test_the_invented_records_follow_the_schema() -> None:
    for record in [*BOTH, nothing([[1.0, 8, None]])]:
        validate(record)


def test_excess_is_measured_from_the_best_of_the_own_space() -> None:
    slower = [search(3072, "exhaustive", [200]), search(3072, "random", [400, 300])]
    found = excess([*searches(), *slower], "random")
    np.testing.assert_allclose(found[768, 768], [[0.5, 0.5, 0.4, 0.2]] * 4)
    np.testing.assert_allclose(found[3072, 768], [[1.0, 0.5]])


def test_the_lead_is_over_equal_trials_of_all_tasks() -> None:
    assert lead(BOTH, "random").value == 1
    taught = lead(BOTH, "taught")
    assert taught.value == pytest.approx((0.5 + 0.5 + 0.4 + 0.2) / 0.5)
    assert taught.low == taught.high == pytest.approx(taught.value)  # all of these searches are alike
    model = lead(BOTH, "model")
    assert 1 < model.low < model.value < model.high < taught.value


def test_nobody_leads_where_the_default_is_the_best() -> None:
    flat = [search(768, strategy, [100, 100]) for strategy in ("exhaustive", "random", "model")]
    assert lead(flat, "model").value == 1


def test_what_was_not_searched_is_named() -> None:
    for effect in (lambda: lead([], "model"), lambda: standing([], "model"), lambda: margin(Evidence(Memory([])))):
        with pytest.raises(MissingRecord, match="10_search"):
            effect()


def test_standing_is_the_share_of_the_space_that_is_not_faster() -> None:
    assert standing(BOTH, "taught").value == 1
    assert standing(BOTH, "random").value == pytest.approx(0.8)  # rank 3 of 10


def test_tuning_is_close_when_it_stays_within_a_twentieth_of_its_end() -> None:
    curve: list[list[float | None]] = [[1, 8, None], [2, 16, 300], [30, 24, 104], [60, 32, 101], [90, 64, 100]]
    assert seconds_until_close(nothing(curve)) == 30
    evidence = Evidence(Memory([tuning(), nothing(curve)]))
    assert margin(evidence).value == 6  # three minutes over half of one
    slow: list[list[float | None]] = [[90, 24, 104], [120, 64, 100]]
    repeated = margin(Evidence(Memory([nothing(curve), nothing(slow), nothing(slow)])))
    assert (repeated.value, repeated.low, repeated.high) == (2, 2, 6)
    with pytest.raises(MissingRecord):
        seconds_until_close(nothing([[1, 8, None]]))


def test_runs_from_nothing_are_told_from_those_that_went_on() -> None:
    curve: list[list[float | None]] = [[30, 24, 104], [90, 64, 100]]
    values = numbers(Memory([tuning("tvm-bsr", trials=64), nothing(curve, trials=77)]))
    assert values["nothing.close"] == "30 s"
    assert values["nothing.trials"] == "77"
    assert values["nothing.runs"] == "1"
    assert values["tuning.tvm-bsr.none.dense.trials"] == "64"
    assert "tuning.tvm-bsr.all.32x1.trials" not in values


def test_the_table_has_a_row_a_task_and_dashes_for_what_did_not_run() -> None:
    row, other = compared([*searches(), search(3072, "exhaustive", [200.0])])
    assert (row["stock_rules"], row["stock_rules_trials"], row["rank"]) == ("2", "3", "2 of 10")
    assert (other["exhaustive"], other["scheduler"], other["rank"]) == ("5", "-", "-")


def table(size: float, best: int) -> Table:
    points = [{"size": size, "tile": float(tile)} for tile in range(30)]
    return Table(f"{size}", points, [size * (1 + abs(p["tile"] - best)) for p in points])


@pytest.mark.parametrize("trials", [1, 3, 7, 30, 99])
def test_a_replay_measures_each_point_once_and_the_default_first(trials: int) -> None:
    space = table(1.0, best=20)
    for order in (random_search(space, trials, 0), guided_search(space, trials, 0)):
        assert order[0] == 0
        assert len(set(order)) == len(order) == min(trials, 30)


def test_a_taught_model_leads_a_model_from_nothing_and_that_one_chance() -> None:
    space, other = table(1.0, best=20), table(2.0, best=20)

    def area(search: object, **kwargs: object) -> float:
        orders = [search(space, 12, seed, **kwargs) for seed in range(20)]  # type: ignore[operator]
        return float(np.mean([best_so_far(space.seconds[at] for at in order) for order in orders]))

    assert area(guided_search, others=[other]) < area(guided_search) < area(random_search)


def test_the_rank_counts_faster_points_only() -> None:
    assert [table(1.0, best=0).rank(seconds) for seconds in (1.0, 2.0, 2.5)] == [1, 2, 3]
