"""Ratios of medians and their intervals, against closed forms and known distributions."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from codesign.errors import InputError
from codesign.measure import median, ratio
from codesign.measure.ratios import Interval, doubts, process_spread, ratio_draws, spread_between

POINT = {
    **{"model": "bert-tiny", "seed": 0, "scope": "none", "pruner": "none", "block": "dense", "sparsity": 0.0},
    **{"batch": 1, "seq": 16, "threads": 1, "format": "fp32"},
}


def record(rounds, *, engine="torch-eager", session="s", control=None, solo=None, status="ok"):
    samples = [float(sample) for turn in rounds for sample in turn]
    return {
        **POINT,
        **{"engine": engine, "session_id": session, "machine_id": "m", "control": control, "status": status},
        **{"samples_ns": samples, "rounds": [len(turn) for turn in rounds]},
        "solo_ns": [float(np.median(samples)) if samples else 1.0] if solo is None else solo,
    }


def test_the_value_is_the_ratio_of_the_plain_medians() -> None:
    a, b = [[1, 9], [4, 5]], [[2, 2], [2, 8]]
    assert ratio(record(a), record(b)).value == np.median([1, 9, 4, 5]) / np.median([2, 2, 2, 8])
    assert ratio(record([[300, 300]] * 4), record([[200, 200]] * 4)) == Interval(1.5, 1.5, 1.5)


def test_the_interval_equals_that_of_all_resamples() -> None:
    """Three rounds have 27 resamples, few enough to list."""
    rounds = [[1.0, 2.0], [4.0, 8.0], [16.0, 32.0]]
    exact = [np.median(np.concatenate(draw)) for draw in itertools.product(rounds, repeat=3)]
    result = median(record(rounds))
    assert (result.low, result.high) == tuple(np.quantile(exact, [0.025, 0.975], method="inverted_cdf"))


def test_rounds_of_unequal_length_are_pooled_as_they_are() -> None:
    assert median(record([[5.0] * 7, [5.0], [5.0] * 3])) == Interval(5.0, 5.0, 5.0)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(100):
        drift = rng.normal(0, 0.05, size=(2, 30, 1))  # rounds differ, as blocks do
        logs = drift + rng.normal(0, 0.02, size=(2, 30, 5)) + np.log([2.0, 1.0])[:, None, None]
        a, b = np.exp(logs)
        hits += ratio(record(a), record(b, session="other")).covers(2.0)
    assert 88 <= hits <= 99


def test_whole_rounds_are_resampled() -> None:
    """Samples that repeat within a round carry no more information than one of them."""
    rng = np.random.default_rng(1)
    rounds = rng.lognormal(0, 0.1, size=(12, 1))
    one, many = median(record(rounds)), median(record(np.repeat(rounds, 10, axis=1)))
    assert many.high - many.low == pytest.approx(one.high - one.low, rel=0.15)


def test_what_slows_a_round_for_both_cancels() -> None:
    rng = np.random.default_rng(2)
    drift = rng.lognormal(0, 0.2, size=(12, 1))
    a, b = 3 * drift * np.ones((1, 5)), drift * np.ones((1, 5))
    together = ratio(record(a), record(b))
    apart = ratio(record(a), record(b, session="other"))
    assert together.high - together.low < 1e-9
    assert apart.high - apart.low > 0.1


def test_sessions_are_compared_through_their_reference() -> None:
    """The second session ran on a machine that had become half as fast."""
    a, reference = record([[300] * 3] * 5), record([[100] * 3] * 5, engine="openvino")
    b, slower = record([[400] * 3] * 5, session="t"), record([[200] * 3] * 5, engine="openvino", session="t")
    assert ratio(a, b).value == 0.75
    assert ratio(a, b, via=(reference, slower)).value == 1.5


def test_what_cannot_be_compared_has_no_ratio() -> None:
    a = record([[1], [2]])
    for other in (a | {"machine_id": "n"}, a | {"measurement": 2}):
        with pytest.raises(InputError, match=r"machine_id='n'|measurement=2"):
            ratio(a, other)
        with pytest.raises(InputError, match=r"machine_id='n'|measurement=2"):
            ratio(a, a, via=(a, other))
    with pytest.raises(InputError, match="with samples"):
        ratio(a, record([], status="failed"))


def session(*, control=1.0, solo=100.0, status="ok"):
    steady = [[100.0, 101.0]] * 6
    return [
        record(steady, solo=[solo]),
        record([], engine="openvino", status="failed"),
        record(np.multiply(steady, control), control="A/A", status=status),
    ]


def test_a_session_is_doubted_for_its_control_and_for_a_shift_against_alone() -> None:
    assert doubts(session()) == doubts(session(solo=91.5)) == []
    assert doubts(session(control=1.2)) == ["A/A control: torch-eager / itself in [0.833, 0.833]"]
    assert doubts(session(control=0.85)) == ["A/A control: torch-eager / itself in [1.176, 1.176]"]
    assert doubts(session(solo=80.0)) == ["torch-eager none dense: +26% against alone"]
    assert doubts(session(solo=120.0)) == ["torch-eager none dense: -16% against alone"]
    assert doubts(session(status="failed")) == ["no A/A control"]


@given(st.floats(0.5, 2))
@settings(max_examples=50, deadline=None)
def test_two_processes_may_differ_by_a_tenth_in_either_direction(control: float) -> None:
    assume(abs(max(control, 1 / control) - 1.1) > 1e-6)  # at the very edge, rounding decides
    beyond = not 1 / 1.1 <= control <= 1.1
    assert bool(doubts(session(control=control))) == beyond
    swapped = [r | {"control": None if r["control"] else "A/A"} for r in session(control=control)]
    assert process_spread(swapped) == pytest.approx(process_spread(session(control=control)))
    assert process_spread(session(control=control)) == pytest.approx(max(control, 1 / control))


def test_a_control_whose_interval_reaches_into_what_is_allowed_raises_no_doubt() -> None:
    restless = [record([[100.0] * 2, [100.0] * 2]), record([[105.0] * 2, [140.0] * 2], control="A/A", solo=[120.0])]
    assert process_spread(restless) == pytest.approx(1.225)
    assert not any("A/A" in doubt for doubt in doubts(restless))


def test_a_recorded_spread_does_not_excuse_the_control_it_came_from() -> None:
    spread = [r | {"process_spread": 1.2} for r in session(control=1.2)]
    assert doubts(spread) == doubts(session(control=1.2))
    assert process_spread(spread) == pytest.approx(1.2)
    assert process_spread(session(status="failed")) == 1, "without a control nothing is known of it"


factors = st.floats(1, 2)


@given(factors, factors, st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_a_ratio_is_widened_by_the_spread_and_by_nothing_else(one: float, other: float, seed: int) -> None:
    a, b = (record(turns) for turns in np.random.default_rng(seed).lognormal(0, 0.1, size=(2, 6, 3)))
    plain = ratio(a, b)
    wide = ratio(a | {"process_spread": one}, b | {"process_spread": other})
    spread = max(one, other)
    assert wide.value == plain.value
    assert (wide.low, wide.high) == pytest.approx((plain.low / spread, plain.high * spread))
    swapped = ratio(b | {"process_spread": other}, a | {"process_spread": one})
    assert (1 / swapped.high, 1 / swapped.low) == pytest.approx((wide.low, wide.high), rel=0.02)
    assert median(a | {"process_spread": one}) == median(a)  # an absolute time is that of one process
    assert (ratio_draws(a | {"process_spread": one}, b) == ratio_draws(a, b)).all()


@given(factors, factors)
@settings(max_examples=25, deadline=None)
def test_each_session_adds_its_own_spread(one: float, other: float) -> None:
    a = record([[300] * 3] * 5) | {"process_spread": one}
    b = record([[400] * 3] * 5, session="t") | {"process_spread": other}
    via = (
        record([[100] * 3] * 5, engine="openvino") | {"process_spread": one},
        record([[200] * 3] * 5, engine="openvino", session="t") | {"process_spread": other},
    )
    result = ratio(a, b, via=via)
    assert (result.low, result.high) == pytest.approx((1.5 / (one * other), 1.5 * one * other))
    assert spread_between(via[0], b, via=via) == other  # the reference is no other process than itself


def test_a_process_equals_itself_whatever_the_spread() -> None:
    a = record([[300, 301]] * 5) | {"process_spread": 1.5}
    assert (ratio(a, a).low, ratio(a, a).high) == (1, 1)
