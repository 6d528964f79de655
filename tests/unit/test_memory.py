"""Sessions are split by what fits in memory, in the same way every time."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from codesign import machine
from codesign.study.memory import KEPT, budget_bytes, resident_bytes, split
from codesign.study.points import Case, Point

POINT = Point("bert-tiny", 0, "all", "magnitude", "32x1", 0.8, 1, 32, 2)
KEEP = [Case(engine, POINT) for engine in KEPT]
MANY = [Case("tvm-bsr", Point("bert-tiny", 0, "all", "magnitude", f"{n}x1", 0.8, 1, 32, 2)) for n in range(1, 13)]


@given(st.lists(st.integers(0, 100), min_size=len(MANY), max_size=len(MANY)), st.integers(0, 600))
def test_every_part_fits_and_has_what_parts_are_related_through(sizes: list[int], budget: int) -> None:
    resident = dict(zip(MANY, sizes, strict=True)) | dict.fromkeys(KEEP, 20)
    parts = split([*KEEP, *MANY], resident.__getitem__, budget)
    assert [case for part in parts for case in part if case not in KEEP] == MANY  # each once, in order
    for part in parts:
        assert part[: len(KEEP)] == KEEP
        filled = sum(resident[case] for case in part) + 20  # the control
        assert filled <= budget or len(part) == len(KEEP) + 1
    for part, after in pairwise(parts):
        following = resident[after[len(KEEP)]]
        assert sum(resident[case] for case in part) + 20 + following > budget  # no part ends early


def test_a_session_that_fits_stays_whole() -> None:
    cases = [*KEEP, *MANY]
    assert split(cases, lambda case: 1, 100) == [cases]
    assert split(KEEP, lambda case: 100, 1) == [KEEP]


def test_the_budget_does_not_depend_on_what_runs_now() -> None:
    assert 0 < budget_bytes() < machine.describe().memory_gib * 2**30
    assert budget_bytes() == budget_bytes()


def test_a_larger_file_needs_more_memory_than_itself() -> None:
    assert resident_bytes(0) > 0
    assert resident_bytes(2**30) - resident_bytes(0) > 2**30
