"""What may be read from a checkpoint that somebody else made, looked at before anything is loaded.

Weights are read from safetensors only: such a file holds numbers and their names, and no code. The config must describe
exactly the encoder whose weights lie beside it. What we would compute differently from the model's author (integers
that stand for scaled values, other position embeddings, layers that the config leaves out) is refused, because it would
give wrong numbers without a word. So is a head, unless it is left out on purpose: what comes out is then the encoder's
last hidden state. A pooler is no head where it stands alone: a plain encoder has one beside its hidden states.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError, safe_open
from transformers.utils.hub import cached_file

from codesign.errors import InputError

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"

#: Storage types whose values are the weights themselves.
FLOATS = ("F64", "F32", "F16", "BF16")
#: The class of a checkpoint without a head.
PLAIN = "BertModel"
#: Field of a config that says what was left out of the checkpoint that it came with.
LEFT_OUT = "codesign_left_out"
#: Fields of a config whose other values we would not compute.
_COMPUTED = {
    **{"position_embedding_type": "absolute", "quantization_config": None},
    **{"is_decoder": False, "add_cross_attention": False},
}
_SIZES = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    *("vocab_size", "max_position_embeddings", "type_vocab_size"),
)
#: Most tensors of a head that a message names.
_NAMED = 12
#: Name and shape of a stored tensor, and its storage type.
Stored = dict[str, tuple[tuple[int, ...], str]]


class _Refused(Exception):
    """A directory is not what we can compute; the message says what it should have been."""


def folder_of(location: str) -> Path | None:
    """Folder with the files of a directory or a hub id, which are fetched first; None where there is no such model."""
    if Path(location).is_dir() and location:
        return Path(location)
    try:
        config = cached_file(location, CONFIG)
        for file in (WEIGHTS, INDEX):
            cached_file(location, file, _raise_exceptions_for_missing_entries=False)
    except (OSError, ValueError):
        return None
    return Path(config).parent if config else None


def inspect(name: str, folder: Path, encoder_only: bool = False) -> transformers.BertConfig:
    """Refuse a directory whose encoder we would not compute as it was meant.

    Parameters
    ----------
    name
        The model as the user named it, for the message.
    folder
        Has the config and the weights.
    encoder_only
        Leave out a head rather than refuse it.

    Returns
    -------
    BertConfig
        As the directory says, with what is left out (`left_out`).

    Raises
    ------
    InputError
        Naming the file, and the field or tensor in it.
    """
    try:
        return _inspected(folder, encoder_only)
    except _Refused as refusal:
        raise InputError("model", name, str(refusal)) from refusal.__cause__


def _inspected(folder: Path, encoder_only: bool) -> transformers.BertConfig:
    config = _config(_read_object(folder / CONFIG))
    stored = {_plain(key): value for path in _weight_files(folder) for key, value in _header(path)}
    last = f"encoder.layer.{config.num_hidden_layers - 1}.output.dense.weight"
    if last not in stored:  # before a model of absurdly many layers is laid out
        raise _Refused(f"a checkpoint with every encoder weight ({last} is missing)")
    with _about_the_config(), torch.device("meta"):
        wanted = dict(transformers.BertModel(config, add_pooling_layer=False).named_parameters())
    _compare({key: tuple(parameter.shape) for key, parameter in wanted.items()}, stored)
    if head := _head(config.architectures or [], stored):
        if not encoder_only:
            tensors = ", ".join(head[1 : 1 + _NAMED]) + (", ..." if head[1 + _NAMED :] else "")
            raise _Refused(
                f"an encoder without the head of {head[0]} ({tensors or 'its tensors are missing'}); --encoder-only of "
                "codesign compile and bench leaves it out, and what comes out is the last hidden state"
            )
        setattr(config, LEFT_OUT, head)
    return config


def _config(fields: dict[str, Any]) -> transformers.BertConfig:
    from transformers.activations import ACT2FN  # a second and a half to import

    if fields.get("model_type") != "bert":
        raise _Refused(f"a BERT encoder (model_type 'bert'), not {fields.get('model_type')!r}")
    with _about_the_config():  # of which it checks the types
        config = transformers.BertConfig.from_dict(fields)
    for field, value in _COMPUTED.items():
        if fields.get(field, value) != value:
            raise _Refused(f"a {CONFIG} whose {field} is {value!r}, not {fields[field]!r}")
    classes = config.architectures or []
    if not isinstance(classes, list) or not all(isinstance(each, str) for each in classes):
        raise _Refused(f"a {CONFIG} whose architectures is a list of names, not {classes!r}")
    for field in _SIZES:
        if getattr(config, field) < 1:
            raise _Refused(f"a {CONFIG} whose {field} is at least 1, not {getattr(config, field)}")
    if config.hidden_act not in ACT2FN:
        raise _Refused(f"a {CONFIG} whose hidden_act is one of {', '.join(ACT2FN)}, not {config.hidden_act!r}")
    return config


@contextmanager
def _about_the_config() -> Iterator[None]:
    """Whatever a config makes transformers say is about that config."""
    try:
        yield
    except Exception as error:
        raise _Refused(f"a usable {CONFIG} ({_brief(error)})") from error


def left_out(config: transformers.BertConfig) -> list[str]:
    """Name the head that was left out of a model, its class and then its tensors; nothing if it had none.

    The config carries it, so that it goes wherever the weights go.
    """
    found = getattr(config, LEFT_OUT, [])
    return [str(each) for each in found] if isinstance(found, list) else [str(found)]


def _head(classes: list[str], stored: Stored) -> list[str]:
    """Name the class and the tensors of what computes something from the encoder's hidden states."""
    others = sorted(key for key in stored if not key.startswith(("encoder.", "embeddings.")))
    heads = [each for each in classes if each != PLAIN]
    if not heads and all(key.startswith("pooler.") for key in others):
        return []
    return [" or ".join(heads) or "a class that its config does not name", *others]


def refuse_not_finite(name: str, model: transformers.BertModel) -> None:
    """Refuse weights that are no numbers.

    Raises
    ------
    InputError
        Naming the first such matrix, and where in it.
    """
    for key, parameter in model.named_parameters():
        if bool(parameter.sum().isfinite()):  # what is no number leaves no sum, and a sum is fast
            continue
        finite = torch.isfinite(parameter)
        if not bool(finite.all()):
            place = (~finite).nonzero()[0].tolist()
            value = parameter[tuple(place)].item()
            raise InputError("model", name, f"finite weights ({key}{place} is {value})")


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        raise _Refused(f"a directory with {WEIGHTS} (pickled weights are not read: they run what they contain)")
    files = _read_object(folder / INDEX).get("weight_map")
    if not isinstance(files, dict) or not files:
        raise _Refused(f"a weight_map in {INDEX}")
    names = sorted({str(file) for file in files.values()})
    for file in names:
        if Path(file).name != file:
            raise _Refused(f"files beside {INDEX}, not {file!r}")
    return [folder / file for file in names]


def _header(path: Path) -> Iterator[tuple[str, tuple[tuple[int, ...], str]]]:
    """Names, shapes and types; the library checks that they fill the file exactly, and reads no values."""
    try:
        with safe_open(path, framework="np") as file:
            for key in file.keys():  # noqa: SIM118  # not a mapping
                part = file.get_slice(key)
                yield key, (tuple(part.get_shape()), str(part.get_dtype()))
    except (OSError, SafetensorError) as error:
        raise _Refused(f"a complete safetensors file ({path.name}: {error})") from error


def _compare(wanted: Mapping[str, tuple[int, ...]], stored: Stored) -> None:
    for key, shape in wanted.items():
        if key not in stored:
            raise _Refused(f"a checkpoint with every encoder weight ({key} is missing)")
        found, dtype = stored[key]
        if found != shape:
            raise _Refused(f"{key} of shape {list(shape)}, as {CONFIG} says, not {list(found)}")
        if dtype not in FLOATS:
            raise _Refused(f"{key} stored as one of {', '.join(FLOATS)}, not {dtype}")
    for key in stored:
        if key.startswith(("encoder.", "embeddings.")) and key not in wanted and key != "embeddings.position_ids":
            raise _Refused(f"no encoder weight that {CONFIG} does not ask for ({key})")


def _plain(key: str) -> str:
    """Name of a weight in the encoder itself: under a head it has a prefix, and older files say gamma and beta."""
    key = key.removeprefix("bert.")
    for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
        if key.endswith(old):
            key = key.removesuffix(old) + new
    return key


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _Refused(f"a readable {path.name} ({_brief(error)})") from error
    if not isinstance(content, dict):
        raise _Refused(f"a JSON object in {path.name}, not {type(content).__name__}")
    return content


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
