"""Parsers against anything: they accept, or refuse with their own error and a suggestion that is itself right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from codesign import checkpoint, runtime
from codesign.errors import InputError, RecordError
from codesign.schema import KINDS, validate
from codesign.study import profile_file
from codesign.study.parameters import RULES, check, parse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    name=st.sampled_from(sorted(RULES)), value=JSON | st.lists(st.sampled_from(["4x1", "all", 0, 0.5, -1]), max_size=3)
)
def test_a_parameter_is_right_or_refused_with_a_right_suggestion(name: str, value: Any) -> None:
    try:
        accepted = check(name, value)
    except InputError as error:
        if error.nearest is None or error.parameter != name:
            return
        item = RULES[name].many and not isinstance(error.nearest, list)  # one value of a list was refused
        accepted = check(name, [error.nearest] if item else error.nearest)
    assert check(name, accepted) == accepted


@given(name=st.sampled_from(sorted(RULES)), text=st.text(max_size=20))
def test_typed_text_is_read_or_refused(name: str, text: str) -> None:
    try:
        parse(name, text)
    except InputError:
        return


@given(kind=st.sampled_from(sorted(KINDS)), fields=st.dictionaries(st.text(max_size=8), JSON, max_size=4))
def test_a_record_is_right_or_refused(kind: str, fields: dict[str, Any]) -> None:
    with pytest.raises(RecordError):
        validate({"kind": kind} | fields)


@given(content=st.binary(max_size=64) | JSON.map(lambda value: yaml.safe_dump(value).encode("utf-8", "replace")))
def test_a_profile_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("profile") / "mine.yaml"
    path.write_bytes(content)
    try:
        sections = profile_file.read(path, ["smoke"])
    except InputError:
        return
    assert set(sections) == set(profile_file.SECTIONS)


@given(content=st.binary(max_size=64) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_manifest_of_chance_is_an_artifact(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    directory = tmp_path_factory.mktemp("artifact")
    (directory / runtime.MANIFEST).write_bytes(content)
    with pytest.raises(runtime.ArtifactError):
        runtime.load(directory)


@given(header=st.binary(max_size=64), length=st.integers(0, 2**64 - 1) | st.integers(0, 80))
def test_no_header_of_chance_is_a_checkpoint(
    tmp_path_factory: pytest.TempPathFactory, header: bytes, length: int
) -> None:
    directory: Path = tmp_path_factory.mktemp("checkpoint")
    (directory / checkpoint.CONFIG).write_text('{"model_type": "bert"}')
    (directory / checkpoint.WEIGHTS).write_bytes(length.to_bytes(8, "little") + header)
    with pytest.raises(InputError):
        checkpoint.inspect("theirs", directory)
