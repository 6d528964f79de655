"""Points, cases and sweeps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from codesign.errors import InputError
from codesign.schema import POINT
from codesign.study.points import Case, Point, by_scope, headline, sweep

POINT_32X1 = Point("bert-tiny", 0, "all", "magnitude", "32x1", 0.8, 1, 32, 2)
SWEEP = {
    "model": "bert-tiny",
    "seed": 0,
    "scopes": ["attention", "all"],
    "pruner": "magnitude",
    "blocks": ["4x1", "32x1"],
    "sparsity": 0.8,
    "batch": 1,
    "seq": 32,
    "threads": 2,
}


def test_fields_are_the_point_fields_of_a_record() -> None:
    assert POINT_32X1.fields().keys() == set(POINT)


def test_weights_are_shared_by_loads_but_points_are_not() -> None:
    longer = replace(POINT_32X1, seq=64)
    assert longer.weights_key() == POINT_32X1.weights_key()
    assert longer.key() != POINT_32X1.key()


@pytest.mark.parametrize(("field", "value"), [("seed", 1), ("sparsity", 0.81), ("pruner", "random"), ("block", "1x32")])
def test_different_weights_have_different_keys(field: str, value: object) -> None:
    assert replace(POINT_32X1, **{field: value}).weights_key() != POINT_32X1.weights_key()


@pytest.mark.parametrize("model", ["../models/my encoder", "organisation/encoder"])
def test_a_key_is_one_plain_directory_name(model: str) -> None:
    key = replace(POINT_32X1, model=model).key()
    assert "/" not in key
    assert " " not in key
    assert not key.startswith((".", "-"))


def test_a_point_checks_its_fields() -> None:
    with pytest.raises(InputError, match=r"block='32\*1' .* did you mean 32x1"):
        replace(POINT_32X1, block="32*1")


def test_a_sweep_goes_scope_by_scope() -> None:
    points = sweep(**SWEEP)
    assert [(p.scope, p.block) for p in points] == [
        ("attention", "4x1"),
        ("attention", "32x1"),
        ("all", "4x1"),
        ("all", "32x1"),
    ]
    assert {scope: len(group) for scope, group in by_scope(points).items()} == {"attention": 2, "all": 2}


def test_a_sweep_needs_something_to_prune() -> None:
    with pytest.raises(InputError, match="block='dense'"):
        sweep(**SWEEP | {"blocks": ["dense"]})


def test_the_headline_is_32x1_of_the_widest_scope_or_else_the_first_shape() -> None:
    assert headline(sweep(**SWEEP)) == POINT_32X1
    assert headline(sweep(**SWEEP | {"blocks": ["4x1", "7x5"]})).block == "4x1"


def test_what_an_engine_name_says_of_its_artefact() -> None:
    assert [Case(engine, POINT_32X1).pipeline for engine in ("tvm-bsr", "tvm-stock-tuned")] == ["codesign", "stock"]
    assert not Case("openvino", POINT_32X1).compiled
    assert [Case(engine, POINT_32X1).block for engine in ("tvm-bsr", "deepsparse")] == ["32x1"] * 2
    assert [Case(engine, POINT_32X1).block for engine in ("tvm-dense", "tvm-stock-tuned")] == ["dense"] * 2
    assert not Case("tvm-stock-default", POINT_32X1).tuned
    assert Case("tvm-dense", POINT_32X1).tuned
