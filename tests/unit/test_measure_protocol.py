"""How often engines are called."""

import pytest

from codesign.measure import PROTOCOLS, Protocol
from codesign.measure.protocol import SPIN_S, Plan

# Seconds a call of BERT-base on two cores: the engines of a report session, the control among them.
REPORT_SESSION = [0.15, 0.15, 0.053, 0.14, 0.05, *[0.05] * 4, *[0.02] * 4]


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
@pytest.mark.parametrize("call_s", [1e-4, 1e-3, 0.02, 0.15, 1.0, 4.9])
def test_every_turn_discards_three_calls_and_outlasts_the_spinning(protocol: Protocol, call_s: float) -> None:
    plan = protocol.plan(call_s)
    assert plan.discard >= 3
    assert plan.discard * call_s >= SPIN_S
    assert 2 <= plan.rounds <= protocol.rounds
    assert 1 <= plan.calls <= protocol.calls


def test_a_very_slow_engine_is_called_as_little_as_possible() -> None:
    plan = PROTOCOLS["default"].plan(24.0)
    assert plan == Plan(rounds=2, calls=1, discard=1, solo=1, solo_discard=1)
    assert not PROTOCOLS["default"].is_full(plan)
    assert PROTOCOLS["default"].is_full(PROTOCOLS["default"].plan(0.15))


def test_a_report_session_keeps_its_budget() -> None:
    assert sum(PROTOCOLS["default"].seconds(call_s) for call_s in REPORT_SESSION) < 180
    assert 6 * PROTOCOLS["quick"].seconds(0.002) < 10


@pytest.mark.parametrize("wrong", [{"discard": 2}, {"rounds": 1}, {"calls": 0}])
def test_a_protocol_that_measures_nothing_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="needs discard >= 3"):
        Protocol(**{"rounds": 2, "calls": 1, "turn_s": 1.0, "engine_s": 1.0, **wrong})
