"""Readers against anything: they accept, or refuse with their own error and a suggestion that is itself right.

The judges are those of `make soak`, which gives each reader thousands of inputs; hypothesis shrinks what it finds.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import InputError
from codesign.schema import KINDS
from codesign.study.parameters import RULES, parse
from codesign.study.soak import inputs, readers

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    name=st.sampled_from(sorted(RULES)), value=JSON | st.lists(st.sampled_from(["4x1", "all", 0, 0.5, -1]), max_size=3)
)
def test_a_parameter_is_right_or_refused_with_a_right_suggestion(name: str, value: Any) -> None:
    readers.judge_parameter(name, value)


@given(name=st.sampled_from(sorted(RULES)), text=st.text(max_size=20))
def test_typed_text_is_read_or_refused(name: str, text: str) -> None:
    try:
        parse(name, text)
    except InputError:
        return


@given(kind=st.sampled_from(sorted(KINDS)), fields=st.dictionaries(st.text(max_size=8), JSON, max_size=4))
def test_a_record_is_right_or_refused(kind: str, fields: dict[str, Any]) -> None:
    assert readers.judge_record({"kind": kind} | fields)


@given(content=st.binary(max_size=64) | JSON.map(lambda value: yaml.safe_dump(value).encode("utf-8", "replace")))
def test_a_profile_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    readers.judge_profile(tmp_path_factory.mktemp("profile") / "mine.yaml", content)


@given(content=st.binary(max_size=64) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_manifest_of_chance_is_an_artifact(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    assert readers.judge_manifest(tmp_path_factory.mktemp("artifact"), content)


@given(header=st.binary(max_size=64), length=st.integers(0, 2**64 - 1) | st.integers(0, 80))
def test_no_header_of_chance_is_a_checkpoint(
    tmp_path_factory: pytest.TempPathFactory, header: bytes, length: int
) -> None:
    directory: Path = tmp_path_factory.mktemp("checkpoint")
    assert readers.judge_checkpoint(directory, b'{"model_type": "bert"}', length.to_bytes(8, "little") + header)


def test_a_round_of_the_campaign_finds_every_reader_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "TRIES", 40)
    tallies = inputs.one_round(7)
    assert [tally.subject for tally in tallies] == list(readers.READERS)
    assert not [defect for tally in tallies for defect in tally.defects]
    assert all(tally.count == 40 and tally.refused > 0 for tally in tallies)


def test_a_reader_that_accepts_what_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(rng: random.Random, folder: Path) -> bool:
        return readers.judge_parameter("block", 7) or True

    monkeypatch.setattr(readers, "check", lambda name, value: str(value) + "!")
    monkeypatch.setattr(inputs, "READERS", {"careless": careless})
    monkeypatch.setattr(inputs, "TRIES", 3)
    (tally,) = inputs.one_round(0)
    assert (tally.count, tally.wrong, tally.refused) == (3, 3, 0)
    assert tally.defects[0].startswith("Defect: accepted block=7")
