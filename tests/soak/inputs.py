"""Fuzzing: everything that reads what people or programs wrote, given inputs of chance and right ones with a change.

A reader accepts, and then what it accepted is right, or it refuses with the one error that is meant for it, whose
suggestion is itself accepted. Any other exception, and any wrong value, is a defect: hypothesis shrinks the first.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import yaml
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from tests import synthetic
from tests.soak.tally import Tally

from codesign import checkpoint, runtime
from codesign.blocks import BlockShape
from codesign.compiler import target_spec
from codesign.compiler.database import HEADER, RECORDS, WORKLOADS, open_database
from codesign.errors import InputError, RecordError
from codesign.records import LOCAL, Results
from codesign.schema import KINDS, validate
from codesign.study import places, profile_file
from codesign.study.parameters import PARAMETERS, check, is_list, parse

#: Inputs for each reader in a round.
TRIES = 1000

Strategy = st.SearchStrategy
#: Words that mean something somewhere.
_WORDS = ("4x1", "32x1", "0x4", "all", "dense", "", "NaN", "-1", "1e9", "../x", "null", "\N{SNOWMAN}", "x" * 300)
TEXT = st.sampled_from(_WORDS) | st.text(max_size=12)
#: Any value that JSON can say, and NaN.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from([2**31, 2**63, 10**30]) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def damaged(draw: Callable[[Strategy], Any], content: bytes) -> bytes:
    """Change a few bytes: overwrite, delete, insert, repeat or cut off."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        end = draw(st.integers(at, at + 8) | st.just(len(content)))
        content = content[:at] + draw(st.binary(max_size=8) | st.just(content[at:end] * 3)) + content[end:]
    return content


@st.composite
def changed(draw: Callable[[Strategy], Any], value: Any) -> Any:
    """Change one value somewhere inside: replaced, dropped, or under another name."""
    if isinstance(value, dict) and value:
        name = draw(st.sampled_from(sorted(value)))
        others = {key: item for key, item in value.items() if key != name}
        match draw(st.sampled_from(["dropped", "renamed", *["replaced"] * 3])):
            case "dropped":
                return others
            case "renamed":
                return others | {draw(TEXT): value[name]}
            case _:
                return value | {name: draw(JSON | changed(value[name]))}
    if isinstance(value, list) and value:
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], draw(changed(value[at])), *value[at + 1 :]]
    return draw(JSON)


def typed(content: bytes) -> Strategy[str]:
    """What people type: any text, or right text with a change."""
    return TEXT | damaged(content).map(lambda found: found.decode("utf-8", "replace"))


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def outcome(meant: type[Exception], read: Callable[..., Any], *arguments: Any) -> tuple[Any, Any]:
    """Return what a reader makes of its input, or else the error that is meant for refusing it."""
    try:
        return read(*arguments), None
    except meant as error:
        return None, error


def block_shape(text: str, _: Path) -> bool:
    """Block shapes, against what the rule says in one line."""
    right = re.fullmatch(r"[1-9]\d{0,8}x[1-9]\d{0,8}", text, re.ASCII) is not None
    accepted, error = outcome(InputError, BlockShape.parse, text)
    assert (error is None) == right, f"refused or accepted {text!r}"
    want = text if right else error.nearest
    assert str(accepted or BlockShape.parse(error.nearest)) == want
    return not right


def parameter(given: tuple[str, Any], _: Path) -> bool:
    """Values of parameters: a suggestion is right, and what was accepted stays as it is when checked again."""
    name, value = given
    accepted, error = outcome(InputError, check, name, value)
    if error is None:
        assert check(name, accepted) == accepted, f"accepted {name}={value!r} as {accepted!r}"
    elif error.nearest is not None and error.parameter == name:
        item = is_list(name) and not isinstance(error.nearest, list)  # one value of a list was refused
        near = [error.nearest] if item else error.nearest
        assert check(name, near) == near, f"suggested {near!r} for {name}={value!r}"
    return error is not None


def typed_parameter(given: tuple[str, str], folder: Path) -> bool:
    """Values of parameters, as they are typed after ``-p``."""
    value, error = outcome(InputError, parse, *given)
    return error is not None or parameter((given[0], value), folder)


def record(value: Any, _: Path) -> bool:
    """Records; what is accepted has every field of its kind."""
    value = value if isinstance(value, dict) else {"kind": value}
    _, error = outcome(RecordError, validate, value)
    if error is None:
        fields = KINDS[value["kind"]].model_fields
        missing = {name for name, field in fields.items() if field.is_required()} - value.keys()
        assert not missing, f"accepted without {missing}: {value}"
    return error is not None


def results_file(content: bytes, folder: Path) -> bool:
    """Files of records; where one is read, its lines are those of the file."""
    results = Results(LOCAL, folder)
    path = results.path("machine")
    path.parent.mkdir()
    path.write_bytes(content)
    read, error = outcome(RecordError, results.read, "machine")
    if error is None:
        for line, found in zip(content.split(b"\n"), read, strict=False):
            assert json.loads(line).items() <= found.items(), "read another record than the file has"
    assert error is None or str(path) in str(error)
    return error is not None


def profile(content: bytes, folder: Path) -> bool:
    """Parameter files; one that is read has all sections, each a mapping."""
    (folder / "mine.yaml").write_bytes(content)
    sections, error = outcome(InputError, profile_file.read, folder / "mine.yaml")
    if error is None:
        assert set(sections) == set(profile_file.SECTIONS)
        assert all(isinstance(section, dict) for section in sections.values())
    return error is not None


def manifest(content: bytes, folder: Path) -> bool:
    """Manifests of artefacts whose library is not what any digest says: none may be loaded."""
    written(folder, {runtime.LIBRARY: b"no library", runtime.PARAMS: b"no weights", runtime.MANIFEST: content})
    _, error = outcome(runtime.ArtifactError, runtime.load, folder)
    assert error, f"loaded an artefact with the manifest {content[:200]!r}"
    return True


def database(files: dict[str, bytes], folder: Path) -> bool:
    """Tuning databases: header, workloads and records."""
    written(folder, files)
    _, error = outcome(InputError, open_database, folder, target_spec(1))
    assert error is None or str(folder) in str(error)
    return error is not None


def encoder(files: dict[str, bytes], folder: Path) -> bool:
    """Configs and headers of weight files of an encoder whose weights are not there: none may pass."""
    written(folder, files)
    _, error = outcome(InputError, checkpoint.inspect, "theirs", folder)
    assert error, f"accepted a checkpoint with the config {files[checkpoint.CONFIG][:200]!r}"
    return True


def written(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)


def readers() -> dict[str, tuple[Strategy, Callable[[Any, Path], bool]]]:
    """Name -> where its inputs come from, and from an input and an empty folder to whether it was refused."""
    names = st.sampled_from(sorted(PARAMETERS))
    right = st.sampled_from(synthetic.everything())
    lines = as_json(synthetic.machine()) + b"\n"
    quick = (places.PROFILES / "quick.yaml").read_bytes()
    edited = changed(yaml.safe_load(quick)).map(lambda value: yaml.safe_dump(value).encode())
    manifest_fields = {
        **{"format": runtime.FORMAT, "batch": 1, "seq": 16, "vocabulary": 10, "params": ["w"], "requires": ["avx2"]},
        **{"inputs": ["input_ids", "attention_mask"], "types": 1, "sha256": {runtime.LIBRARY: "0" * 64}},
        "target": {"mcpu": "x86-64-v3", "threads": 1},
    }
    databases = {
        HEADER: as_json({"schema_version": 1, **target_spec(1).fields()}),
        WORKLOADS: b'["1234", "QUJD"]\n',
        RECORDS: b'[0, [[[], []], [0.5], {"kind": "llvm"}, [["TENSOR", "float32", [1]]]]]\n',
    }
    config = {
        **{"model_type": "bert", "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1},
        **{"intermediate_size": 16, "vocab_size": 10, "hidden_act": "gelu"},
    }
    header = as_json({"embeddings.weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})
    weights = st.builds(
        lambda header, length: (len(header) if length is None else length).to_bytes(8, "little") + header + bytes(8),
        damaged(header) | st.binary(max_size=64),
        st.none() | st.integers(0, 2**64 - 1) | st.integers(0, 80),
    )
    return {
        "block shapes": (typed(b"32x1"), block_shape),
        "parameters": (st.tuples(names, JSON | st.lists(TEXT, max_size=2)), parameter),
        "typed parameters": (st.tuples(names, typed(b"[4x1, 32x1]")), typed_parameter),
        "records": (right.flatmap(changed) | JSON, record),
        "results files": (st.just(3 * lines) | damaged(3 * lines), results_file),
        "parameter files": (
            damaged(quick) | edited | st.binary(max_size=64),
            profile,
        ),
        "manifests": (
            (changed(manifest_fields) | JSON).map(as_json).flatmap(lambda content: st.just(content) | damaged(content)),
            manifest,
        ),
        "tuning databases": (
            st.sampled_from(list(databases)).flatmap(
                lambda name: (damaged(databases[name]) | JSON.map(lambda value: as_json(value) + b"\n")).map(
                    lambda content: databases | {name: content}
                )
            ),
            database,
        ),
        "checkpoints": (
            st.fixed_dictionaries(
                {checkpoint.CONFIG: (st.just(config) | changed(config)).map(as_json), checkpoint.WEIGHTS: weights}
            ),
            encoder,
        ),
    }


def one_round(seed: int) -> list[Tally]:
    """Give `TRIES` inputs to each reader; what is not judged right is ``wrong``, and named."""
    return [tried(name, *reader, seed, TRIES) for name, reader in readers().items()]


def tried(name: str, inputs: Strategy, judge: Callable[[Any, Path], bool], seed: int, tries: int) -> Tally:
    """Give inputs to a reader until one is not judged right, which is then shrunk."""
    tally = Tally(name, "inputs of chance")

    @hypothesis.seed(seed)
    @hypothesis.settings(
        **{"max_examples": tries, "deadline": None, "database": None, "report_multiple_bugs": False},
        **{"phases": [Phase.generate, Phase.shrink], "suppress_health_check": list(HealthCheck)},
    )
    @given(inputs)
    def give(found: Any) -> None:
        with tempfile.TemporaryDirectory(prefix="codesign-inputs-") as folder:
            tally.count += 1
            tally.refused += judge(found, Path(folder))

    try:
        give()
    except Exception as error:  # whatever a reader does with its input is what is looked for
        tally.wrong = 1
        tally.defects.append(f"{type(error).__name__}: {error} {' '.join(getattr(error, '__notes__', []))}"[:300])
    return tally
