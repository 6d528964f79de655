"""The directory that is handed on: complete or absent, and refused where it would crash or compute something else."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from codesign import machine, runtime
from codesign.compiler import Lowered, TargetSpec, lower_encoder, target_spec
from codesign.compiler.artifact import TUNING, install, refuse_other
from codesign.compiler.lower import digest_of_weights
from codesign.compiler.tasks import KINDS
from codesign.errors import InputError


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "copy"))


def manifest_of(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / runtime.MANIFEST).read_text())
    return found


def rewrite(directory: Path, **changes: Any) -> None:
    (directory / runtime.MANIFEST).write_text(json.dumps({**manifest_of(directory), **changes}))


def refused(directory: Path, message: str) -> None:
    with pytest.raises(runtime.ArtifactError, match=message):
        runtime.load(directory)


@pytest.mark.parametrize("name", [runtime.LIBRARY, runtime.PARAMS, runtime.MANIFEST])
def test_a_truncated_or_missing_file_is_refused(name: str, copy: Path) -> None:
    (copy / name).write_bytes((copy / name).read_bytes()[:-40])
    refused(copy, name)
    (copy / name).write_bytes(b"")
    refused(copy, name)
    (copy / name).unlink()
    refused(copy, name)


@pytest.mark.parametrize("name", [runtime.LIBRARY, runtime.PARAMS])
def test_one_flipped_bit_is_refused(name: str, copy: Path) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    refused(copy, rf"{name}: not the file that was built \(digest differs\)")


@pytest.mark.parametrize(
    "text", ["[]", '"manifest"', "{}", "[" * 10_000, '{"format": 1}', '{"format": "2"}', "\x00\x01"]
)
def test_something_else_in_the_place_of_a_manifest_is_refused(copy: Path, text: str) -> None:
    (copy / runtime.MANIFEST).write_text(text)
    refused(copy, runtime.MANIFEST)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        *((name, (None, 0, True, -1)) for name in ("batch", "seq", "vocabulary")),
        *(("requires", (None, [["avx2"]])), ("params", (None, [1])), ("sha256", (None,))),
        ("target", (None, {}, {"threads": "2"})),
    ],
)
def test_a_manifest_that_lacks_something_or_says_something_impossible_is_refused_by_name(
    copy: Path, name: str, values: tuple[object, ...]
) -> None:
    for value in values:
        rewrite(copy, **{name: value})
        refused(copy, f"{runtime.MANIFEST}: {name} is ")


def test_parameters_that_are_not_in_the_file_are_refused(copy: Path) -> None:
    rewrite(copy, params=["no.such.weight"])
    with pytest.raises(runtime.ArtifactError, match=r"no\.such\.weight"):
        runtime._params(copy / runtime.PARAMS, manifest_of(copy)["params"])


def test_a_cpu_without_the_instructions_is_refused_before_any_code_is_loaded(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(manifest_of(copy)["requires"]) <= runtime.cpu_flags()
    monkeypatch.setattr(runtime, "cpu_flags", lambda: {"fma", "avx2"})
    (copy / runtime.LIBRARY).unlink()  # not looked at any more
    refused(copy, r"compiled for .*, and this CPU lacks .*avx.*--isa avx2")


def test_several_threads_get_what_serial_calls_get(built: Path) -> None:
    encoder, rng = runtime.load(built), np.random.default_rng(0)
    vocabulary, mask = encoder.manifest["vocabulary"], np.ones((1, 16), np.int64)
    inputs = [rng.integers(0, vocabulary, (1, 16)) for _ in range(8)]
    expected = [encoder(ids, mask) for ids in inputs]
    with ThreadPoolExecutor(len(inputs)) as pool:
        for _ in range(25):
            for found, right in zip(pool.map(encoder, inputs, [mask] * len(inputs)), expected, strict=True):
                np.testing.assert_array_equal(found, right)


def test_other_threads_than_compiled_for_are_refused(copy: Path) -> None:
    with pytest.raises(runtime.ArtifactError, match=r"threads=1: .* was compiled for 2"):
        runtime.load(copy, threads=1)


def test_an_isa_asks_for_no_more_than_it_has() -> None:
    narrow = target_spec(2, "avx2").requires()
    assert {"avx2", "fma"} <= set(narrow)
    assert not [flag for flag in narrow if flag.startswith("avx512")]
    if "avx512f" in machine.describe().isa:
        assert {"avx512f", "avx512vl", *narrow} <= set(target_spec(2, "avx512").requires())


def test_the_manifest_says_what_was_built(built: Path, dense: Lowered, spec: TargetSpec) -> None:
    manifest = manifest_of(built)
    assert (manifest["block"], manifest["bsr_linears"], manifest["dense_linears"]) == ("4x1", 12, 0)
    assert manifest["target"] == spec.fields()
    assert set(manifest["functions"].values()) <= set(KINDS)
    assert {"sparse linear", "attention", "layer norm", "layout"} <= set(manifest["functions"].values())
    assert manifest["sha256"][TUNING] is None
    arrays = load_file(built / runtime.PARAMS)
    assert sorted(arrays) == sorted(manifest["params"])
    assert dense.weights == manifest["sha256"]["weights"], "the same weights, however they are stored"
    assert lower_encoder("bert-tiny", block=None, batch=1, seq=16, spec=spec).weights != dense.weights


def test_files_can_be_read_by_everybody_who_may_read_the_directory(built: Path) -> None:
    assert (built / runtime.PARAMS).stat().st_mode == (built / runtime.MANIFEST).stat().st_mode


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_no_artifact_is_never_replaced(built: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").touch()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    (tmp_path / "empty").mkdir()
    for name in ("precious", "file", "link"):
        with pytest.raises(InputError, match="out="):
            install(built, tmp_path / name)
    refuse_other(tmp_path / "empty")
    refuse_other(tmp_path / "new")
    assert entries(tmp_path / "precious") == ["thesis.tex"]


def test_an_artifact_can_be_installed_elsewhere(built: Path, tmp_path: Path) -> None:
    install(built, tmp_path / "here" / "copy")
    assert entries(tmp_path / "here" / "copy") == entries(built)
    install(tmp_path / "here" / "copy", tmp_path / "here" / "copy")  # onto itself: nothing to do
    assert entries(tmp_path / "here") == ["copy"]


def test_a_digest_of_weights_sees_names_shapes_and_values() -> None:
    array = np.arange(6, dtype=np.float32)
    variants = [
        {"a": array},
        {"b": array},
        {"a": array.reshape(2, 3)},
        {"a": array.reshape(2, 3).T},
        {"a": array + 1},
        {"a": array.astype(np.float64)},
    ]
    assert len({digest_of_weights(arrays) for arrays in variants}) == len(variants)
    both = {"a": array, "b": array + 1}
    assert digest_of_weights(both) == digest_of_weights(dict(reversed(both.items())))
