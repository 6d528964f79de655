"""Patterns inside blocks and the places of blocks: what the variants hold fixed, and what their records say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.synthetic import Memory, machine, variants

from codesign import plot
from codesign.answers.effects import closeness, value
from codesign.answers.frames import Frames, frame
from codesign.answers.patterns import BLOCKS, SIZES, compared, newest, over
from codesign.compiler.operators import Linear
from codesign.errors import InputError, MissingRecord
from codesign.measure.ratios import Interval
from codesign.records import validate
from codesign.study import patterns
from codesign.study.chain import open_study
from codesign.study.kernels import problems
from codesign.study.variants import BASE, GROUP, INSIDE, VARIANTS, WHERE, Variant, distinct, weights

#: 32 block-rows of 8 block-columns or more; the number of blocks is no multiple of the block-rows.
SHAPES = [(4, 1, 1001), (16, 4, 259), (1, 32, 130), (128, 1, 77)]


def linear(rows: int, cols: int, nnz: int) -> Linear:
    return Linear(128, 256, 32, rows, cols, nnz, 2, "bias", 0, 1)


@pytest.mark.parametrize(("rows", "cols", "nnz"), SHAPES)
def test_variants_differ_in_one_thing_only(rows: int, cols: int, nnz: int) -> None:
    operator = linear(rows, cols, nnz)
    base = weights(operator, BASE, 0)
    for variant in VARIANTS:
        made = weights(operator, variant, 0)
        assert made.data.shape == base.data.shape
        assert np.array_equal(made.indptr, base.indptr)  # so the threads are as balanced
        assert np.array_equal(made.bounds, base.bounds)
        assert np.ptp(np.diff(made.indptr)) <= 1
        for start, end in zip(made.indptr, made.indptr[1:], strict=False):
            assert (np.diff(made.indices[start:end]) > 0).all()
        if variant in INSIDE:
            assert np.array_equal(made.indices, base.indices)
            kept = made.data != 0
            assert np.array_equal(made.data[kept], base.data[kept])
        else:
            assert np.array_equal(made.data, base.data)
        assert np.abs(made.data[made.data != 0]).min() > 1e-7  # no denormal


def test_the_number_of_patterns_inside_is_what_the_name_says() -> None:
    operator = linear(16, 4, 259)
    full, one, sixteen, every = (distinct(weights(operator, each, 0)) for each in (BASE, *INSIDE))
    assert (full, one, sixteen, every) == (1, 1, 16, 259)
    halves = weights(operator, INSIDE[2], 0).data != 0
    assert (halves.sum(axis=(1, 2)) == 32).all()
    assert distinct(weights(linear(4, 1, 1001), INSIDE[2], 0)) == 6  # a small block has no more


def test_places_are_shared_or_side_by_side() -> None:
    operator = linear(4, 1, 1001)
    shared, banded = (weights(operator, each, 0) for each in WHERE)

    def rows(packed: object) -> list[np.ndarray]:
        return np.split(packed.indices, packed.indptr[1:-1])  # type: ignore[attr-defined]

    short = min(map(len, rows(shared)))
    for start in range(0, operator.block_rows, GROUP):
        group = rows(shared)[start : start + GROUP]
        assert all(len(set(row) & set(group[0])) >= short for row in group)
    for row in rows(banded):
        assert row[-1] - row[0] == len(row) - 1
        assert 0 <= row[0] <= row[-1] < 256


def test_blocks_that_leave_a_rest_are_refused() -> None:
    with pytest.raises(InputError, match=r"block='48x1' .* tiles 128x256"):
        weights(linear(48, 1, 100), Variant(), 0)


def test_a_ratio_is_taken_round_by_round() -> None:
    records = variants({"banded": 1.1}, noise=0.0)
    base, banded = records[0], records[-1]
    drift = np.linspace(1, 3, 24)
    slow, fast = ({**r, "hot_ns": list(np.asarray(r["hot_ns"]) * drift)} for r in (banded, base))
    assert over(slow, fast, "hot").value == pytest.approx(1.1)
    assert over(slow, fast, "hot").low == pytest.approx(1.1)


def effect(key: str, ratios: dict[str, float]) -> Interval:
    every = [
        record
        for outputs, inputs in SIZES
        for block in BLOCKS
        for record in variants(ratios, outputs=outputs, inputs=inputs, block=block)
    ]
    for record in every:
        validate(record)
    found = value(Frames(Memory([machine(), *every])), key)  # type: ignore[arg-type]
    assert isinstance(found, Interval)
    return found


def test_the_claim_about_the_inside_sees_a_difference_either_way() -> None:
    assert effect("patterns-inside", {}).low > 0.99
    assert effect("patterns-inside", {"one pattern": 0.9}).high < 0.95
    assert effect("patterns-inside", {"all different": 1.1}).high < 0.95
    assert effect("patterns-inside", {"banded": 1.3}).low > 0.99  # that is the other question
    assert closeness(Interval(1.01, 0.99, 1.25)) == Interval(1 / 1.01, 0.8, 1.0)


def test_the_claim_about_places_is_told_by_rounds_that_did_not_choose() -> None:
    assert effect("patterns-where", {"shared": 0.8}).value == pytest.approx(1.25, rel=0.01)
    assert effect("patterns-where", {"one pattern": 0.5}).high < 1.02
    with pytest.raises(MissingRecord, match="14_patterns"):
        value(Frames(Memory([machine(), *variants({})])), "patterns-where")  # type: ignore[arg-type]


def test_the_newest_session_counts() -> None:
    older, newer = variants({"banded": 2.0}), variants({}, session_id="newer")
    assert list(newest(frame([*older, *newer]))["record"]) == newer


def test_the_figure_says_what_it_shows() -> None:
    rows = compared(frame(variants({"banded": 1.1}, noise=0.0)))
    assert list(rows["variant"])[:2] == ["again (A/A)", "one pattern"]
    inside, where = (plot.patterns(rows, question) for question in ("inside", "where"))
    assert "4x1 one pattern 1.000 hot" in inside.alt
    assert "banded" not in inside.alt
    assert "4x1 banded 1.100 hot" in where.alt
    assert "4x1 again (A/A)" in where.alt


def test_a_study_times_every_variant_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    monkeypatch.setitem(patterns.EFFORTS, "quick", (2, 1e-4))
    study = open_study("local", "quick")
    # one thread, and weights so large that few copies of them are cold
    (problem,) = (each for each in problems("bert-base", ["attention"], 0, ["4x1"], 0.8, [16], 1) if each.sparsity)
    chosen = [(problem, problem.candidates()[0])]
    records = patterns.ensure_patterns(study, chosen)
    assert patterns.ensure_patterns(study, chosen) == records
    assert [(r["inside"], r["where"], r["control"]) for r in records] == [
        (v.inside, v.where, v.control) for v in VARIANTS
    ]
    assert {len(record["hot_ns"]) for record in records} == {2}
    assert max(record["max_abs_err"] for record in records) < 1e-2
    assert records[0]["element_density"] == 1.0
    assert records[2]["element_density"] == 0.5
