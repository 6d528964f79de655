"""A layer: what its records hold, and what a page makes of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.synthetic import LOOP, listing

from codesign.answers.tables import assembly
from codesign.errors import MissingRecord, RecordError
from codesign.plot.layer import layer_matrix, pattern_of
from codesign.records import Results
from codesign.schema import validate
from codesign.study.chain import Study
from codesign.study.layer import ensure_listed
from codesign.study.points import Point

POINT = Point("bert-base", 0, "attention", "magnitude", "32x1", 0.8, 1, 128, 2)


def committed(folder: Path, *records: dict[str, Any]) -> Study:
    """Return a study that reads these records, written as local ones are."""
    for record in records:
        Results("local", folder).append(record)
    if records:
        (folder / "local").rename(folder / "xeon")
    return Study(Results("xeon", folder), "report", "run", "one", folder)


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    mine = listing()
    assert ensure_listed(committed(tmp_path, mine), [POINT]) == [mine]


def test_what_is_missing_is_named_with_the_notebook_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(MissingRecord, match=r"listing.*16_layer"):
        ensure_listed(committed(tmp_path), [POINT])


@pytest.mark.parametrize(
    "broken",
    [
        listing(loop=[]),
        listing(pattern=["xyz"]),
        listing(loop_bytes=0),
        listing(counts={"fma": 1}),
    ],
)
def test_a_record_that_cannot_be_right_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(RecordError, match=r"listing record"):
        validate(broken)


def test_the_pattern_is_read_as_it_was_written() -> None:
    stored = pattern_of(listing())
    assert stored.shape == (2, 24)
    assert list(stored[1].nonzero()[0]) == listing()["heads"]["indices"]
    assert "12 of 48 blocks are stored, 6 of them in block-row 1" in layer_matrix(listing()).alt


def test_multiply_adds_are_marked_and_everything_is_said_in_words_too() -> None:
    page = str(assembly(LOOP).data)
    assert page.count('class="line fma"') == 2
    assert page.count(">multiply-add </span>") == 2
    assert page.count(">weight </span>") == 2
    assert page.count(">activations </span>") == 1
    folded = str(assembly(["vfmadd231ps (%rax), %zmm1, %zmm2"]).data)
    assert ">multiply-add, activations </span>" in folded
    assert 'tabindex="0"' in page  # a box that scrolls must be reached by keyboard
    assert re.sub(r"<[^>]*>", "", page).count("%zmm17") == 3
    by_rows = str(assembly(LOOP, "row_tile").data)
    assert by_rows.count(">weight </span>") == 1
    assert by_rows.count(">activations </span>") == 2
