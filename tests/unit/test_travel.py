"""One shape for several machines: the one that loses least where it loses most."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import DENSE, Memory, machine, session

from codesign.study.evidence import Evidence
from codesign.study.machines import Machine
from codesign.study.travel import losses, safest, timed_machines, travel_numbers, travel_rows


def timed(label: str, **milliseconds: float) -> Machine:
    """A machine that took so long with shapes, beside an engine that takes 50 ms."""
    shapes = {("tvm-bsr", "all", block[1:]): ms for block, ms in milliseconds.items()}
    records = [machine(), *session({("openvino", *DENSE): 50.0} | shapes, spread=0.001)]
    return Machine(label, Evidence(Memory(records)))


MACHINES = [timed("a", b4x1=11.0, b32x1=10.0, b1x1=30.0, b8x8=1.0 * 10.5), timed("b", b4x1=21.0, b32x1=26.0, b1x1=20.0)]


def test_a_loss_is_the_time_over_that_of_the_fastest_shape_of_the_machine() -> None:
    found = {loss.block: loss for loss in losses(MACHINES)}
    assert list(found) == ["1x1", "4x1", "32x1", "8x8"]
    a, b = found["4x1"].on
    assert a is not None
    assert b is not None
    assert a.value == pytest.approx(1.1, rel=0.01)
    assert a.low < a.value < a.high
    assert b.value == pytest.approx(1.05, rel=0.01)
    assert found["1x1"].on[1] is found["32x1"].on[0]  # the fastest, exactly


def test_the_safest_shape_loses_least_where_it_loses_most_though_no_machine_likes_it_best() -> None:
    shape = safest(losses(MACHINES))
    assert shape is not None
    assert shape.block == "4x1"
    values = dict(travel_numbers(MACHINES))
    assert (values["travel.block"], values["travel.machines"]) == ("4x1", "2")
    assert values["travel.loss"].startswith("1.10")


def test_a_shape_that_was_not_timed_everywhere_is_no_candidate() -> None:
    found = {loss.block: loss for loss in losses(MACHINES)}
    assert found["8x8"].on[1] is None
    assert found["8x8"].worst is None  # 5% behind on the only machine that timed it: nothing is known of the other


def test_one_machine_recommends_nothing_for_others_and_a_machine_without_times_has_no_column() -> None:
    bare = Machine("bare", Evidence(Memory([machine()])))
    assert timed_machines([*MACHINES, bare]) == MACHINES
    assert "travel.block" not in dict(travel_numbers([MACHINES[0], bare]))
    assert losses([bare]) == []
    assert travel_rows([bare]) == (["block shape", "worst"], [])


def test_a_claim_is_counted_on_the_machines_that_measured_it() -> None:
    values = dict(travel_numbers([*MACHINES, Machine("bare", Evidence(Memory([machine()])))]))
    assert values["travel.flat-all.supported"] == "1 of 2"  # on b the flat shape is the fastest
    assert values["travel.paper-3.supported"] == "0 of 0"


def test_the_table_names_the_fastest_and_what_is_missing() -> None:
    head, rows = travel_rows(MACHINES)
    assert head == ["block shape", "a", "b", "worst"]
    cells = {row[0]: row[1:] for row in rows}
    assert cells["1x1"][1] == "the fastest"
    assert cells["8x8"][1:] == ["not measured", "-"]
    assert cells["32x1"][2].startswith("1.30")
