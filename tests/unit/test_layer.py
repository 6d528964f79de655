"""A layer: what its records hold, and what a page makes of them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.synthetic import LOOP, listing

from codesign.errors import RecordError
from codesign.plot.layer import layer_matrix, pattern_of
from codesign.plot.tables import assembly
from codesign.schema import validate


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
