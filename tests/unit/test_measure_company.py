"""The rule by which a turn counts, and the process that looks at the machine."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign import machine
from codesign.measure.company import NEAR, OWN, Company, Look, best, ceiling, disturbance

RATE = st.floats(1.0, 1000.0)
LOOKS = st.lists(st.builds(lambda a, b, c: Look(a, (b, c)), RATE, RATE, RATE), min_size=1, max_size=20)


def test_cores_that_are_far_apart_or_shared_are_a_disturbance() -> None:
    most = (100.0, 150.0)
    assert disturbance(Look(100.0, (150.0, 200.0)), most) is None
    assert disturbance(Look(100 * NEAR, (150 * OWN, 200.0)), most) is None
    assert disturbance(Look(100 * NEAR - 1, (150.0, 150.0)), most) == "cores far apart"
    assert disturbance(Look(130.0, (150.0, 150 * OWN - 1)), most) == "cores shared with others"


def test_what_is_not_known_disturbs_nobody() -> None:
    assert disturbance(Look(None, ()), (None, None)) is None
    assert disturbance(Look(None, (1.0,)), (100.0, None)) is None
    assert disturbance(Look(1.0, (1.0,)), best([])) is None


def test_one_lucky_look_does_not_make_the_others_disturbed() -> None:
    looks = [Look(100.0, (150.0,)), Look(101.0, (151.0,)), Look(102.0, (152.0,)), Look(900.0, (900.0,))]
    assert best(looks) == (101.0, 151.0)
    assert best(looks[:2]) == (100.0, 150.0)


def test_in_a_long_session_a_few_lucky_looks_are_still_luck() -> None:
    looks = 400 * [Look(100.0, (150.0,))]
    assert best([*looks, *8 * [Look(900.0, (900.0,))]]) == (100.0, 150.0)
    assert best([*looks, *9 * [Look(900.0, (900.0,))]]) == (900.0, 900.0)


def test_threads_that_share_a_core_do_not_say_how_near_two_cores_are() -> None:
    apart, shared = Look(18.2, (106.5, 107.2)), Look(39.5, (29.5, 29.6))
    looks = [*90 * [apart], *10 * [shared]]  # rates of a machine on which this made every turn disturbed
    assert best(looks) == (18.2, 106.5)
    assert disturbance(apart, best(looks)) is None
    assert disturbance(shared, best(looks)) == "cores shared with others"
    assert best([Look(18.2, ()), Look(39.5, ())])[0] == 18.2  # where no L2 was read, nobody knows


@given(looks=LOOKS)
def test_a_machine_that_gets_better_makes_all_earlier_looks_disturbed(looks: list[Look]) -> None:
    looks = [*looks, *3 * [Look(2000.0, (2000.0, 2000.0))]]
    assert best(looks) == (2000.0, 2000.0)
    assert [i for i, look in enumerate(looks) if disturbance(look, best(looks)) is None] == list(range(len(looks)))[-3:]


@given(a=LOOKS, b=LOOKS)
def test_the_worse_of_two_looks_is_lower_than_both(a: list[Look], b: list[Look]) -> None:
    worse = a[0].worse(b[0])
    assert worse == b[0].worse(a[0])
    assert worse.between_cores == min(a[0].between_cores, b[0].between_cores)
    assert worse.l2 == tuple(map(min, a[0].l2, b[0].l2))
    assert Look(None, (3.0,)).worse(Look(None, (2.0,))) == Look(None, (2.0,))


def record(level: str, threads: int, samples: list[float]) -> dict[str, Any]:
    return {"level": level, "threads": threads, "samples": samples}


def test_a_ceiling_holds_for_as_many_threads() -> None:
    records = [
        record("between cores", 2, [110.0, 120.0, 500.0]),
        record("between cores", 2, [40.0]),
        record("L2", 2, [300.0]),
        record("L2", 1, [900.0]),
        record("L2", 2, []),
        record("L1", 2, [999.0]),
    ]
    assert ceiling(records, 2) == (120.0, 150.0)
    assert ceiling(records, 1) == (None, 900.0)
    assert ceiling(records, 3) == ceiling([], 2) == (None, None)
    assert best([Look(100.0, (160.0,))], ceiling(records, 2)) == (120.0, 160.0)


@pytest.mark.parametrize("threads", sorted({1, min(2, machine.describe().cores)}))
def test_the_probe_looks_at_every_core_and_imports_no_engine(threads: int) -> None:
    with Company(threads) as company:
        company.prepare()
        for look in (company.look(), company.look()):
            assert (look.between_cores is not None) == (threads > 1 and bool(look.l2))
            assert len(look.l2) in (0, threads)
            assert all(rate > 0 for rate in look.l2)
        libraries = Path(f"/proc/{company.pid}/maps").read_text()
    assert "libtvm" in libraries
    assert "torch" not in libraries
    assert "openvino" not in libraries
