"""A layer and its neighbours: what their records hold, and what a page makes of them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import LOOP, LOOP_COUNTS, listing, neighbour, neighbourhood

from codesign.errors import MissingRecord, RecordError
from codesign.records import Results
from codesign.schema import validate
from codesign.study import figures
from codesign.study.chain import Study
from codesign.study.figures.layer_matrix import layer_matrix, pattern_of
from codesign.study.listed import against_chosen, bound, cycles, loop_rows, most, neighbour_rows
from codesign.study.listing import ensure_listed, operator_in
from codesign.study.marked import assembly
from codesign.study.neighbours import alike, ensure_neighbours
from codesign.study.points import Point
from codesign.study.shortened import WIDTH, shorten

POINT = Point("bert-base", 0, "attention", "magnitude", "32x1", 0.8, 1, 128, 2)


def committed(folder: Path, *records: dict[str, Any]) -> Study:
    """Return a study that reads these records, written as local ones are."""
    for record in records:
        Results("local", folder).append(record)
    if records:
        (folder / "local").rename(folder / "reference")
    return Study(Results("reference", folder), "report", "run", "one", folder)


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    mine, others = listing(), neighbourhood()
    study = committed(tmp_path, mine, *reversed(others))  # the chosen schedule is written last
    assert ensure_listed(study, [POINT]) == [mine]
    assert ensure_neighbours(study, [mine]) == others
    assert operator_in(mine).nnz == 12


def test_a_session_that_was_interrupted_does_not_count(tmp_path: Path) -> None:
    study = committed(tmp_path, *reversed(neighbourhood()[1:]))
    with pytest.raises(MissingRecord, match=r"neighbour.*16_layer"):
        ensure_neighbours(study, [listing()])


def test_neighbours_of_a_schedule_that_was_not_chosen_do_not_count(tmp_path: Path) -> None:
    study = committed(tmp_path, *reversed(neighbourhood()))
    with pytest.raises(MissingRecord, match=r"neighbour.*16_layer"):
        ensure_neighbours(study, [listing(decisions={"rows": 8})])


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
        neighbour("rows", 2.0, max_abs_err=None),
        neighbour("rows", 2.0, status="failed", reason=None),
        neighbour("rows", 2.0, hot_ns=[]),
        neighbour("rows", 2.0, peak_gflops=[]),
    ],
)
def test_a_record_that_cannot_be_right_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(RecordError, match=r"(listing|neighbour) record"):
        validate(broken)


@pytest.mark.parametrize(
    ("counts", "words", "share"),
    [
        ({"fma": 16, "reads": 11, "chain": 1}, "FMA ports", 1.0),
        ({"fma": 16, "reads": 24, "chain": 2}, "load ports", 16 / 24),
        ({"fma": 16, "reads": 16, "chain": 4}, "FMA latency", 0.5),
    ],
)
def test_the_longest_queue_bounds_a_loop(counts: dict[str, int], words: str, share: float) -> None:
    assert bound(counts) == words
    assert most(counts) == pytest.approx(share)
    assert cycles(counts)["fma"] == counts["fma"] / 2


def test_a_difference_counts_beyond_that_of_the_schedule_from_itself() -> None:
    calm, restless = (against_chosen(neighbourhood(control), "hot") for control in (1.0, 1.1))
    name = "rows 4 → 10, refused"
    assert calm[name].value == restless[name].value == pytest.approx(2.0)
    assert calm[name].low == pytest.approx(2.0)  # every round drew the same noise
    assert (restless[name].low, restless[name].high) == pytest.approx((2.0 / 1.1, 2.0 * 1.1))
    assert restless["as chosen, again"].covers(1.0)
    prefetch = "prefetch 0 → 2"
    assert against_chosen(neighbourhood(), "cold")[prefetch].value == pytest.approx(0.9)


def test_a_session_in_which_a_schedule_differs_from_itself_is_flagged() -> None:
    chosen = neighbour("nothing", 1.0)
    assert alike(chosen, neighbour("control", 1.05))
    assert not alike(chosen, neighbour("control", 1.2))
    assert not alike(neighbour("control", 1.0, 1.2), chosen)
    assert not alike(chosen, chosen | {"status": "failed"})
    flagged = [record | {"flagged": True} for record in neighbourhood(1.2)]
    assert "flagged" in figures.neighbours(flagged).caption
    assert "flagged" not in figures.neighbours(neighbourhood()).caption


def test_rows_say_what_was_refused_and_what_failed() -> None:
    failed = neighbour("slabs", 1.0, status="failed", reason="crashed", hot_ns=[], cold_ns=[], peak_gflops=[])
    rows = {row["change"]: row for row in neighbour_rows([*neighbourhood(), failed | {"max_abs_err": None}])}
    assert list(rows)[:2] == ["as chosen", "as chosen, again"]
    assert rows["rows 4 → 10, refused"]["hot"].startswith("2.00")
    assert rows["slabs 1 → 4"]["hot"] == "crashed"
    assert rows["as chosen"]["per_load"] == 0.5
    assert re.fullmatch(r"\d+%", rows["as chosen"]["reached"])
    (row,) = loop_rows([listing()])
    assert row["tile"] == "rows 4, vectors 4"
    assert LOOP_COUNTS.items() <= row.items()


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


TILE = """
@T.prim_func
def main(x: T.Buffer((2, 3), "float32"), y: T.Buffer((4,), "float32")):
    T.func_attr({"estimated_flops": 1})
    for v in T.parallel(2):
        buffer = T.alloc_buffer((16,))
        buffer_1 = T.alloc_buffer((16,))
        buffer_2 = T.alloc_buffer((16,))
        for v_1 in T.vectorized(16):
            buffer[v_1] = x[indices[indptr[v // 2] + v_1], 3] * 2
        for v_1 in T.vectorized(16):
            buffer_1[v_1] = x[indices[indptr[v // 2] + v_1], 3 + 1] * 2
        for v_1 in T.vectorized(16):
            buffer_2[v_1] = x[indices[indptr[v // 2] + v_1], 3 + (1 + 1)] * 2
        y[v] = buffer[0]
        y[v] = buffer_1[0]
"""


def test_what_a_register_tile_repeats_is_counted() -> None:
    assert shorten(TILE).splitlines() == [
        "@T.prim_func",
        "def main(",
        '    x: T.Buffer((2, 3), "float32"),',
        '    y: T.Buffer((4,), "float32")):',
        "    for v in T.parallel(2):",
        "        buffer = T.alloc_buffer((16,))",
        "        # and 2 more like this",
        "        for v_1 in T.vectorized(16):",
        "            buffer[v_1] = x[indices[...], 3] * 2",
        "        # and 2 more like this",
        "        y[v] = buffer[0]",  # two of a kind are not worth a sentence
        "        y[v] = buffer_1[0]",
    ]


def test_statements_of_other_names_are_kept_and_long_lines_cut() -> None:
    other = TILE.replace("buffer_1[v_1] = x[", "buffer_1[v_1] = z[")
    assert "more like this" not in shorten(other).partition("T.vectorized")[2]
    long = shorten(f"y[0] = {' + '.join(['a'] * 200)}")
    assert len(long) == WIDTH
    assert long.endswith(" ...")
