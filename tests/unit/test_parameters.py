"""Parameters: what is not right is refused by name, with the nearest that is."""

from __future__ import annotations

from typing import Any

import pytest

from codesign.errors import InputError
from codesign.study.parameters import PARAMETERS, check, expected, parse


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("sparsity", 1.2, r"sparsity=1.2 .* a number from 0.0 to 0.999; did you mean 0.999"),
        ("sparsity", -0.5, "did you mean 0.0"),
        ("sparsity", float("nan"), r"sparsity=nan .* 0.999$"),
        ("sparsity", "0.8", r"sparsity='0.8' .* did you mean 0.8"),
        ("threads", 0, "an integer from 1 to 256; did you mean 1"),
        ("threads", 2.0, r"threads=2.0 .* an integer .* did you mean 2"),
        ("seed", True, r"seed=True .* an integer"),
        ("seq", "9" * 5000, "seq='9{5000}'"),
        ("scope", "atention", "one of attention, ffn, all; did you mean attention"),
        ("scopes", "all", r"a list without repetition, each one of attention.*did you mean \['all'\]"),
        ("scopes", ["all", "all"], r"did you mean \['all'\]"),
        ("scopes", ["al"], r"scopes='al' .* did you mean all"),
        ("blocks", ["32x1", "0x4"], r"block='0x4' .* did you mean 1x4"),
        ("blocks", ["dense", "32x1"], "block='dense'"),
        ("blocks", [], "a list without repetition, each a block shape"),
        ("blocks", "4x1", r"blocks='4x1' .* did you mean \['4x1'\]"),
        ("batches", [1, 1], r"or an empty one, each an integer .* did you mean \[1\]"),
        ("engines", ["tvm-bsr", "openvin"], "did you mean openvino"),
        ("pruner", "magnitud@run", r"one of .*magnitude.*did you mean magnitude"),
        ("block", 4, r"block=4 .* a block shape as '32x1'; did you mean 4x1"),  # YAML 1.1 reads 0x4 so
        ("model", ["minilm"], r"expected text$"),
        ("model", "", r"model='' .* expected text$"),
        ("sparsty", 0.8, r"parameter='sparsty' .* did you mean sparsity"),
    ],
)
def test_a_value_that_is_not_right_is_refused_with_the_nearest_that_is(name: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(name, value)


def test_what_is_right_stays_as_it_is() -> None:
    assert check("seqs", []) == []
    assert check("pruner", "magnitude@run") == "magnitude@run"
    assert isinstance(check("sparsity", 0), float)  # a whole number is a number


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("block", "0x4", "0x4"),  # YAML 1.1 reads a hexadecimal 4
        ("blocks", "[dense, 0x4, 32x1]", ["dense", "0x4", "32x1"]),
        ("model", "7", "7"),
        ("sparsity", "0.9", 0.9),
        ("threads", "2", 2),
    ],
)
def test_text_is_read_as_its_parameter_says(name: str, text: str, value: object) -> None:
    assert parse(name, text) == value


@pytest.mark.parametrize(
    ("name", "text"), [("scopes", "[all"), ("seq", "9" * 5000), ("seq", "[" * 1000), ("seq", "!!python/name:os.x")]
)
def test_text_that_is_not_yaml_is_refused(name: str, text: str) -> None:
    with pytest.raises(InputError, match=name):
        parse(name, text)


def test_every_parameter_says_what_it_may_be() -> None:
    assert all(expected(name) for name in PARAMETERS)
