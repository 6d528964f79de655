"""The rule by which a turn counts, and the process that looks at the machine."""

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from codesign import machine
from codesign.measure.company import NEAR, OWN, UNKNOWN, Company, Look, best, ceiling, disturbed

RATE = st.floats(1.0, 1000.0)
LOOKS = st.lists(st.builds(Look, RATE, RATE), min_size=1, max_size=20)


def test_cores_that_are_far_apart_or_shared_are_a_disturbance() -> None:
    most = Look(100.0, 150.0)
    assert not disturbed(most, most)
    assert not disturbed(Look(100 * NEAR, 150 * OWN), most)
    assert disturbed(Look(100 * NEAR - 1, 150.0), most)
    assert disturbed(Look(130.0, 150 * OWN - 1), most)


def test_what_is_not_known_disturbs_nobody() -> None:
    assert not disturbed(UNKNOWN, UNKNOWN)
    assert not disturbed(Look(None, 1.0), Look(100.0, None))
    assert not disturbed(Look(1.0, 1.0), best([]))


def test_a_few_lucky_looks_do_not_make_the_others_disturbed() -> None:
    looks = [Look(100.0, 150.0), Look(101.0, 151.0), Look(102.0, 152.0), Look(900.0, 900.0)]
    assert best(looks) == (101.0, 151.0)
    assert best(looks[:2]) == (100.0, 150.0)
    many = 400 * looks[:1]
    assert best([*many, *8 * looks[3:]]) == (100.0, 150.0)
    assert best([*many, *9 * looks[3:]]) == (900.0, 900.0)


def test_threads_that_share_a_core_do_not_say_how_near_two_cores_are() -> None:
    apart, shared = Look(18.2, 106.5), Look(39.5, 29.5)
    looks = [*90 * [apart], *10 * [shared]]  # rates of a machine on which this made every turn disturbed
    assert best(looks) == apart
    assert [disturbed(look, best(looks)) for look in (apart, shared)] == [False, True]
    assert best([Look(18.2, None), Look(39.5, None)])[0] == 18.2  # where no L2 was read, nobody knows


@given(looks=LOOKS)
def test_a_machine_that_gets_better_makes_all_earlier_looks_disturbed(looks: list[Look]) -> None:
    better = Look(2000.0, 2000.0)
    looks = [*looks, *3 * [better]]
    assert best(looks) == better
    assert [look for look in looks if not disturbed(look, best(looks))] == 3 * [better]


@given(a=LOOKS, b=LOOKS)
def test_the_worse_of_two_looks_has_the_lower_of_each_rate(a: list[Look], b: list[Look]) -> None:
    assert a[0].worse(b[0]) == b[0].worse(a[0]) == tuple(map(min, a[0], b[0]))
    assert Look(None, 3.0).worse(Look(None, 2.0)) == (None, 2.0)


def test_a_ceiling_holds_for_as_many_threads() -> None:
    names, rows = (
        ("level", "threads", "samples"),
        [
            ("between cores", 2, [110.0, 120.0, 500.0]),
            ("between cores", 2, [40.0]),
            ("L2", 2, [300.0]),
            ("L2", 1, [900.0]),
            ("L2", 2, []),
            ("L1", 2, [999.0]),
        ],
    )
    records: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in rows]
    assert ceiling(records, 2) == (120.0, 150.0)
    assert ceiling(records, 1) == (None, 900.0)
    assert ceiling(records, 3) == ceiling([], 2) == UNKNOWN
    assert best([Look(100.0, 160.0)], ceiling(records, 2)) == (120.0, 160.0)


def test_the_probe_looks_at_every_core_and_imports_no_engine() -> None:
    threads = min(2, machine.describe().cores)
    with Company(threads) as company:
        company.prepare()
        for look in (company.look(), company.look()):
            assert (look.between_cores is not None) == (threads > 1 and look.l2 is not None)
            assert all(rate is None or rate > 0 for rate in look)
        libraries = Path(f"/proc/{company.pid}/maps").read_text()
    assert "libtvm" in libraries
    assert "torch" not in libraries
    assert "openvino" not in libraries
