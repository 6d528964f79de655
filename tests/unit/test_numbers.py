"""The text of every number, and what happens when there is none."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import Memory, everything, latency, machine

from codesign.answers.words import times
from codesign.errors import InputError
from codesign.measure.ratios import Interval
from codesign.study.numbers import error, lookup, milliseconds, numbers


@pytest.fixture(scope="module")
def values() -> dict[str, str]:
    return numbers(Memory(everything()))


@pytest.mark.parametrize(
    ("value", "text"), [(9.414, "9.41 ms"), (31.25, "31.2 ms"), (158.2, "158 ms"), (24366.4, "24,366 ms")]
)
def test_latencies_have_three_digits_and_a_unit(value: float, text: str) -> None:
    assert milliseconds(value) == text


def test_ratios_carry_their_interval() -> None:
    assert times(Interval(4.1, 4.02, 4.19)) == "4.10\N{MULTIPLICATION SIGN} (4.02 to 4.19)"
    assert times(Interval(1234.5, 1200, 1300)) == "1,234\N{MULTIPLICATION SIGN} (1,200 to 1,300)"
    assert times(Interval(0.0023, 0.0022, 0.0024)).startswith("0.0023")


def test_errors_are_short() -> None:
    assert error(2.4e-6) == "2e-6"


def test_keys_that_pages_and_notebooks_use(values: dict[str, str]) -> None:
    assert values["latency.tvm-bsr.all.32x1"] == "20.0 ms"
    assert values["best.attention.block"] == "32x1"
    assert values["worst.all.block"] == "1x1"
    assert values["shapes.attention"] == "2"
    assert values["claim.paper-2.verdict"] == "supported"
    assert values["pattern.all.4x1.retained_l2"] == "70%"
    assert values["tasks.tvm-bsr.all.32x1.uses"] == "48"
    assert values["tuning.tvm-dense.none.dense.trials"] == "64"
    assert values["stamp.commit"] == "0123456789"
    assert values["stamp.code"] == "this code"
    assert values["protocol.naive.ours"] == "2.00\N{MULTIPLICATION SIGN}"
    assert values["protocol.alone.other"] == "60.0 ms"
    assert values["protocol.turns.ratio"].startswith("0.33")
    assert values["protocol.other"] == "ONNX Runtime"


def test_every_number_is_text(values: dict[str, str]) -> None:
    assert all(isinstance(text, str) and text for text in values.values())


def test_a_missing_number_is_an_error_in_the_reference(values: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"did you mean best\.all\.block"):
        lookup(values, "best.all.blok", True)


def test_a_missing_number_reads_not_measured_here_locally(values: dict[str, str]) -> None:
    assert lookup(values, "latency.tvm-bsr.ffn.32x1", "local") == "not measured here"


def test_without_records_only_arithmetic_is_left() -> None:
    values = numbers(Memory([], mode="local"))
    assert values["point.sparsity"] == "80%"
    assert not any(key.startswith(("stamp.", "latency.", "best.")) for key in values)


def test_code_that_has_changed_is_called_older() -> None:
    record = latency("openvino", "none", "dense", 50.0, code="000000000000", commit="abcdef0123456789-dirty")
    values = numbers(Memory([machine(), record]))
    assert values["stamp.code"] == "older code"
    assert values["stamp.commit"] == "abcdef0123-dirty"


def test_what_was_only_tried_stays_out() -> None:
    tried = latency("tvm-bsr", "all", "32x1", 1.0, profile="try")
    assert numbers(Memory([*everything(), tried]))["latency.tvm-bsr.all.32x1"] == "20.0 ms"


def test_another_operating_point_has_its_own_numbers() -> None:
    other = latency("tvm-bsr", "all", "8x1", 7.0, model="minilm")
    assert numbers(Memory([*everything(), other]), model="minilm")["best.all.block"] == "8x1"
