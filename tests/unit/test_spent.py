"""Budgets: the replayed scheduler follows TVM's rule within its caps, and effects follow from records."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import Memory, budgets

from codesign.compiler.operators import Linear
from codesign.errors import MissingRecord
from codesign.measure.ratios import Interval
from codesign.schema import validate
from codesign.study.budget import caps
from codesign.study.evidence import Evidence
from codesign.study.figures import budget_curves, spending
from codesign.study.replay import Table
from codesign.study.spending import gradient, replay
from codesign.study.spent import ahead, by_rules, closeness, curves, enough, no_difference, ratios, rows


def table(name: str, seconds: list[float]) -> Table:
    return Table(name, [{"tile": float(at)} for at in range(len(seconds))], seconds)


TABLES = [table("a", [9, 8, 7, 6, 5, 4, 3, 2, 1, 9, 9, 9]), table("b", [2.0] * 12), table("c", [5.0, 4.0, 3.0])]


@pytest.mark.parametrize("cap", [1, 4, 7, 50])
def test_every_task_gets_its_cap_or_its_whole_space(cap: int) -> None:
    trace = replay(TABLES, [1, 3, 1], cap, seed=0)
    counts = np.bincount([at for at, _ in trace])
    np.testing.assert_array_equal(counts, [min(cap, 12), min(cap, 12), min(cap, 3)])
    assert trace == replay(TABLES, [1, 3, 1], cap, seed=0)


def test_the_first_round_goes_through_all_tasks_and_has_no_latency_before() -> None:
    trace = replay(TABLES, [1, 3, 1], 12, seed=0)
    first = [at for at, _ in trace][:11]
    assert first == [0] * 4 + [1] * 4 + [2] * 3
    assert all(seconds is None for _, seconds in trace[:8])
    assert all(seconds is not None for _, seconds in trace[8:])


def test_latency_falls_to_the_weighted_best_of_the_tables() -> None:
    seconds = [s for _, s in replay(TABLES, [1, 3, 1], 12, seed=3) if s is not None]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[-1] == 1 * 1 + 3 * 2 + 1 * 3


def test_the_gradient_is_that_of_tvm() -> None:
    assert gradient([10.0], 1) == pytest.approx(0.2 * 10 + 0.8 * 10)
    assert gradient([10.0, 8.0], 2) == pytest.approx(2 * (0.2 * 8 + 0.8 * 4))
    assert gradient([10.0, 9.0, 8.0, 4.0], 1) == pytest.approx(0.2 * (10 - 4) / 3 + 0.8 * 1)


def test_the_heavier_of_two_equal_tasks_comes_first() -> None:
    twins = [table("a", [5.0] * 12), table("b", [5.0] * 12)]
    order = [at for at, _ in replay(twins, [1, 9], 12, seed=0)]
    assert order[8:12] == [1] * 4


def test_fewer_tasks_share_the_same_total() -> None:
    one, two = (Linear(24, 16, 8, 4, 1, nnz, 2, "bias") for nnz in (5, 6))
    uses = {"uniform": {one: 4}, "global": {one: 1, two: 3}}
    assert caps(uses, "uniform", 8) == {"total": 16, "each": 8}
    assert caps(uses, "global", 8) == {"total": 8, "each": 8}


def test_the_invented_records_follow_the_schema() -> None:
    for record in budgets():
        validate(record)


def test_excess_is_over_the_best_of_the_own_allocation() -> None:
    found = curves(budgets(uniform=1.0, other=1.1), "total")
    assert found["32x1", "uniform"][:, -1] == pytest.approx(0.0)
    assert found["32x1", "global"][:, -1].mean() == pytest.approx(0.1)
    assert np.isnan(found["32x1", "global"][:, 0]).all()


def test_effects_say_who_is_closer_and_whether_it_stays() -> None:
    evidence = Evidence(Memory(budgets(uniform=1.0, other=1.1)))
    lead = ahead("total")(evidence)
    assert lead.value == pytest.approx(1.1)
    assert 1.02 < lead.low < lead.value < lead.high
    assert no_difference(evidence).value == pytest.approx(1.0)  # in that arm both end alike
    assert ratios(budgets(1.0, 1.0), "total")["32x1"].value == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("low", "value", "high", "expected"),
    [(0.99, 1.0, 1.02, (1.0, 0.98, 1.0)), (1.05, 1.1, 1.2, (0.9, 0.8, 0.95)), (0.7, 0.8, 0.9, (0.8, 0.7, 0.9))],
)
def test_closeness_is_symmetric(low: float, value: float, high: float, expected: tuple[float, ...]) -> None:
    found = closeness(Interval(value, low, high))
    assert (found.value, found.low, found.high) == pytest.approx(expected)


def test_more_trials_stop_helping_where_little_is_left() -> None:
    assert enough(np.array([[np.nan, 0.5, 0.2, 0.105, 0.1]])) == 4


def test_the_table_says_whether_the_real_run_agrees() -> None:
    found = {(row["arm"], row["allocation"]): row for row in rows(budgets(uniform=1.0, other=1.1))}
    row = found["the same in total", "uniform"]
    assert (row["tasks"], row["real"], row["agrees"]) == (1, "0.0%", "yes")
    assert found["the same in total", "global"]["agrees"] == "no"  # its picks are the best, replays end a tenth above


def test_stock_rules_stand_beside_our_families() -> None:
    (row,) = by_rules(budgets())
    assert row["stock"] < row["tuned"] <= row["best"]
    assert by_rules([r for r in budgets() if r["arm"] != "table"]) == []


def test_what_was_not_measured_is_named() -> None:
    for left in ([], [r for r in budgets() if r["allocation"] != "global"]):
        with pytest.raises(MissingRecord, match="13_budget"):
            ahead("total")(Evidence(Memory(left)))


def test_figures_say_what_they_show() -> None:
    assert "32x1, same trials in total, global: 10" in budget_curves(budgets(uniform=1.0, other=1.1)).alt
    assert len(spending(budgets()).panels) == 4
    assert budget_curves([]).panels == spending([]).panels == []
