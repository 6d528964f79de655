"""Everything that reads what people or programs wrote, each with inputs of chance and a judge of what it makes of them.

A reader accepts, and then what it accepted is right, or it refuses with the one error that is meant for it, whose
suggestion is itself accepted. Any other exception, and any wrong value, is a `Defect`.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from codesign import checkpoint, runtime
from codesign.blocks import BlockShape
from codesign.compiler import target_spec
from codesign.compiler.database import HEADER, RECORDS, WORKLOADS, open_database
from codesign.errors import InputError, RecordError
from codesign.records import Results
from codesign.schema import KINDS, validate
from codesign.study import places, profile_file
from codesign.study.parameters import RULES, check, parse
from codesign.study.soak.chance import anything, changed, damaged, text


class Defect(AssertionError):
    """A reader accepted what is wrong, or refused it in another way than it should."""


def expect(right: bool, otherwise: str) -> None:
    """Raise a `Defect` unless something is right."""
    if not right:
        raise Defect(otherwise)


def block_shape(rng: random.Random, _: Path) -> bool:
    """Block shapes, against what the rule says in one line."""
    typed = rng.choice((lambda: text(rng), lambda: damaged(rng, b"32x1").decode("utf-8", "replace")))()
    right = re.fullmatch(r"[1-9]\d{0,8}x[1-9]\d{0,8}", typed, re.ASCII) is not None
    try:
        accepted = str(BlockShape.parse(typed))
    except InputError as error:
        expect(not right, f"refused {typed!r}")
        expect(str(BlockShape.parse(str(error.nearest))) == error.nearest, f"suggested {error.nearest!r}")
        return True
    expect(right and accepted == typed, f"read {typed!r} as {accepted}")
    return False


def parameter(rng: random.Random, _: Path) -> bool:
    """Values of parameters, as a notebook or a profile gives them."""
    name = rng.choice(sorted(RULES))
    value = rng.choice((lambda: anything(rng), lambda: [text(rng) for _ in range(rng.randrange(3))]))()
    return judge_parameter(name, value)


def judge_parameter(name: str, value: Any) -> bool:
    """Whether a value is refused; then its suggestion is right, and otherwise it stays as it is when checked again."""
    try:
        accepted = check(name, value)
    except InputError as error:
        if error.nearest is not None and error.parameter == name:
            item = RULES[name].many and not isinstance(error.nearest, list)  # one value of a list was refused
            near = [error.nearest] if item else error.nearest
            expect(check(name, near) == near, f"suggested {near!r} for {name}={value!r}")
        return True
    expect(check(name, accepted) == accepted, f"accepted {name}={value!r} as {accepted!r}")
    return False


def typed_parameter(rng: random.Random, _: Path) -> bool:
    """Values of parameters, as they are typed after ``-p``."""
    name = rng.choice(sorted(RULES))
    typed = rng.choice((lambda: text(rng), lambda: damaged(rng, b"[4x1, 32x1]").decode("utf-8", "replace")))()
    try:
        value = parse(name, typed)
    except InputError:
        return True
    return judge_parameter(name, value)


def record(rng: random.Random, _: Path) -> bool:
    """Records with one thing changed; what is accepted has every field of its kind."""
    whole = rng.choice(_RECORDS)
    value = changed(rng, whole) if rng.random() < 0.8 else anything(rng)
    if not isinstance(value, dict):
        value = {"kind": value}
    return judge_record(value)


def judge_record(value: dict[str, Any]) -> bool:
    """Whether a record is refused; one that is not has every field of its kind."""
    try:
        validate(value)
    except RecordError:
        return True
    expect(
        all(name in value or not field.is_required() for name, field in KINDS[value["kind"]].model_fields.items()),
        f"accepted a record without all fields: {value}",
    )
    return False


def results_file(rng: random.Random, folder: Path) -> bool:
    """Files of records; where one is read, its lines are those of the file."""
    lines = [json.dumps(one).encode() for one in _RECORDS if one["kind"] == "machine"] * 3
    content = b"\n".join(lines) + b"\n"
    content = damaged(rng, content) if rng.random() < 0.9 else content
    results = Results("local", folder)
    path = results.path("machine")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    try:
        read = results.read("machine")
    except RecordError as error:
        expect(str(path) in str(error), f"refused without saying where: {error}")
        return True
    complete = [json.loads(line) for line in content.split(b"\n")[: len(read)]]
    expect(read == complete, "read other records than the file has")
    return False


def profile(rng: random.Random, folder: Path) -> bool:
    """Parameter files."""
    smoke = (places.PROFILES / "smoke.yaml").read_bytes()
    content = rng.choice(
        (
            lambda: damaged(rng, smoke),
            lambda: yaml.safe_dump(changed(rng, yaml.safe_load(smoke))).encode("utf-8", "replace"),
            lambda: rng.randbytes(rng.randrange(64)),
        )
    )()
    return judge_profile(folder / "mine.yaml", content)


def judge_profile(path: Path, content: bytes) -> bool:
    """Whether a profile file is refused; one that is read has all sections, each a mapping."""
    path.write_bytes(content)
    try:
        sections = profile_file.read(path, ["smoke"])
    except InputError:
        return True
    expect(set(sections) == set(profile_file.SECTIONS), f"read sections {set(sections)}")
    expect(all(isinstance(section, dict) for section in sections.values()), "read a section that is no mapping")
    return False


def manifest(rng: random.Random, folder: Path) -> bool:
    """Manifests of artefacts whose other files do not fit: none may be loaded."""
    fields = {"format": runtime.FORMAT, "batch": 1, "seq": 16, "vocabulary": 10, "params": ["w"], "requires": ["avx2"]}
    fields |= {"inputs": ["input_ids", "attention_mask"], "types": 1}
    fields |= {"target": {"mcpu": "x86-64-v3", "threads": 1}, "sha256": {runtime.LIBRARY: "0" * 64}}
    content = json.dumps(changed(rng, fields) if rng.random() < 0.7 else anything(rng)).encode()
    return judge_manifest(folder, damaged(rng, content) if rng.random() < 0.3 else content)


def judge_manifest(folder: Path, content: bytes) -> bool:
    """Whether an artefact with this manifest, whose library is not what any digest says, is refused: it has to be."""
    (folder / runtime.LIBRARY).write_bytes(b"no library")
    (folder / runtime.PARAMS).write_bytes(b"no weights")
    (folder / runtime.MANIFEST).write_bytes(content)
    try:
        runtime.load(folder)
    except runtime.ArtifactError:
        return True
    raise Defect(f"loaded an artefact with the manifest {content[:200]!r}")


def database(rng: random.Random, folder: Path) -> bool:
    """Tuning databases: header, workloads and records."""
    spec = target_spec(1)
    files = {
        HEADER: json.dumps({"schema_version": 1, **spec.fields()}).encode(),
        WORKLOADS: b'["1234", "QUJD"]\n',
        RECORDS: b'[0, [[[], []], [0.5], {"kind": "llvm"}, [["TENSOR", "float32", [1]]]]]\n',
    }
    name = rng.choice(list(files))
    files[name] = damaged(rng, files[name]) if rng.random() < 0.5 else json.dumps(anything(rng)).encode() + b"\n"
    for file, content in files.items():
        (folder / file).write_bytes(content)
    try:
        open_database(folder, spec)
    except InputError as error:
        expect(str(folder) in str(error), f"refused without saying where: {error}")
        return True
    return False


def checkpoint_header(rng: random.Random, folder: Path) -> bool:
    """Configs and headers of weight files of an encoder whose weights are not there: none may pass."""
    config = {"model_type": "bert", "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1}
    config |= {"intermediate_size": 16, "vocab_size": 10, "hidden_act": "gelu"}
    if rng.random() < 0.5:
        config = changed(rng, config)
    header = json.dumps({"embeddings.weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    header = damaged(rng, header) if rng.random() < 0.7 else rng.randbytes(rng.randrange(64))
    length = rng.choice((len(header), 0, 2**64 - 1, rng.randrange(80)))
    return judge_checkpoint(folder, json.dumps(config).encode(), length.to_bytes(8, "little") + header + bytes(8))


def judge_checkpoint(folder: Path, config: bytes, weights: bytes) -> bool:
    """Whether a directory without an encoder's weights is refused: it has to be."""
    (folder / checkpoint.CONFIG).write_bytes(config)
    (folder / checkpoint.WEIGHTS).write_bytes(weights)
    try:
        checkpoint.inspect("theirs", folder)
    except InputError:
        return True
    raise Defect(f"accepted a checkpoint with the config {config[:200]!r}")


#: From a source of chance and an empty folder to whether the input was refused.
Reader = Callable[[random.Random, Path], bool]
READERS: dict[str, Reader] = {
    "block shapes": block_shape,
    "parameters": parameter,
    "typed parameters": typed_parameter,
    "records": record,
    "results files": results_file,
    "parameter files": profile,
    "manifests": manifest,
    "tuning databases": database,
    "checkpoints": checkpoint_header,
}


def _stamped(kind: str, **fields: Any) -> dict[str, Any]:
    stamp = dict.fromkeys(("run_id", "profile", "machine_id", "commit", "code", "started_at"), "x")
    return {"schema_version": 1, "kind": kind, "versions": {}, **stamp, **fields}


_TALLY = {"subject": "x", "fault": "y", "count": 1, "refused": 0, "lost": 0, "wrong": 0, "defects": [], "settings": {}}
#: Right records, to be changed.
_RECORDS = (
    _stamped(
        "machine",
        **{"cpu": "x", "vendor": "x", "isa": ["avx2"], "cores": 1, "threads": 2, "memory_gib": 1.5},
        **{"l1d_kib": 32, "l2_kib": 1024, "l3_kib": 0},
    ),
    _stamped(
        "ceiling",
        **{"level": "L1", "isa": "native", "format": "fp32", "target": "x", "threads": 1, "bytes": 1, "unit": "GB/s"},
        **{"rate": 1.0, "samples": [1.0], "reason": None, "governor": None, "load_average": 0.5},
    ),
    _stamped("soak", campaign="inputs", seed=0, seconds=1.0, tallies=[_TALLY]),
)
