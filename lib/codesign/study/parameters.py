"""The parameters of the notebooks: what each may be.

Everything that reads a parameter (the command line, a profile file, a notebook run by hand) is checked here, because
papermill itself only warns about unknown names and casts values by trial.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from codesign.blocks import BlockShape
from codesign.encoder import LINEARS, SCOPES
from codesign.engines import ENGINES
from codesign.errors import InputError
from codesign.measure import PROTOCOLS
from codesign.prune import PRUNERS
from codesign.prune.allocation import ALLOCATIONS
from codesign.prune.report import AS_FOUND
from codesign.records import LOCAL
from codesign.schema.parts import ISAS
from codesign.study.places import ASIDE, SHOWN, machines


def nearest(text: object, names: Iterable[str]) -> str | None:
    """The most similar name, or None when nothing is similar."""
    names = list(names)
    longer = [name for name in names if text and name.startswith(str(text))]
    matches = longer or difflib.get_close_matches(str(text), names, n=1, cutoff=0.4)
    return matches[0] if matches else None


def _whole(low: int, high: int) -> Any:
    return Annotated[int, Field(ge=low, le=high)]


def _number(low: float, high: float) -> Any:
    return Annotated[float, Field(ge=low, le=high, allow_inf_nan=False)]


def _one_of(names: Iterable[str]) -> Any:
    return Literal[tuple(names)]


def _block_shape(text: str) -> str:
    BlockShape.parse(text)
    return text


def _pruner(text: str) -> str:
    """Accept a pruner, and one followed by ``@`` and any text: which training it was part of."""
    names = (*PRUNERS, AS_FOUND)
    if (name := text.partition("@")[0]) not in names:
        raise InputError("pruner", text, "one of " + ", ".join(names), nearest(name, names))
    return text


def _without_repetition(values: list[Any]) -> list[Any]:
    if len(set(values)) != len(values):
        raise ValueError
    return values


def _list_of(kind: Any, *, or_none: bool = False) -> Any:
    return Annotated[list[kind], Field(min_length=0 if or_none else 1), AfterValidator(_without_repetition)]


#: "0.8" is 0.8 and 4 is "4" where a value was refused, and the right one is looked for.
_LENIENT = ConfigDict(coerce_numbers_to_str=True)
_Text = Annotated[str, Field(min_length=1)]
_Shape = Annotated[_Text, AfterValidator(_block_shape), Field(description="a block shape as '32x1'")]
_Pruner = Annotated[_Text, AfterValidator(_pruner), Field(description="one of " + ", ".join((*PRUNERS, AS_FOUND)))]
_Seed = _whole(0, 2**31 - 1)
_Sparsity = _number(0.0, 0.999)  # a sparsity of 1 leaves no block at all
_Batch, _Seq, _Threads = _whole(1, 256), _whole(1, 512), _whole(1, 256)
_Trials, _Steps = _whole(1, 100_000), _whole(1, 1_000_000)

#: Name of a parameter -> type of its values.
PARAMETERS: Mapping[str, Any] = {
    "results": _one_of((SHOWN, LOCAL, *machines())),
    "profile": _one_of((*PROTOCOLS, *ASIDE)),
    "model": _Text,
    "seed": _Seed,
    "scope": _one_of(SCOPES),
    "scopes": _list_of(_one_of(SCOPES)),
    "pruner": _Pruner,
    "block": _Shape,
    "blocks": _list_of(_Shape),
    "sparsity": _Sparsity,
    "batch": _Batch,
    "seq": _Seq,
    "threads": _Threads,
    "isa": _one_of(ISAS),
    "isas": _list_of(_one_of(ISAS)),
    "linears": _list_of(_one_of(LINEARS)),
    "trials_per_task": _Trials,
    "engines": _list_of(_one_of(ENGINES)),
    "peer_blocks": _list_of(_Shape, or_none=True),
    "rival": _one_of(ENGINES),
    "load_blocks": _list_of(_Shape),
    "batches": _list_of(_Batch, or_none=True),
    "seqs": _list_of(_Seq, or_none=True),
    "thread_counts": _list_of(_Threads, or_none=True),
    "process_counts": _list_of(_Threads, or_none=True),
    "sparsities": _list_of(_Sparsity, or_none=True),
    "models": _list_of(_Text, or_none=True),
    "model_sparsities": _list_of(_Sparsity, or_none=True),
    "allocations": _list_of(_one_of(ALLOCATIONS)),
    "bucket": _number(0.001, 1.0),
    "search_trials": _Trials,
    "passes": _whole(1, 1000),
    "stock_trials": _Trials,
    "repeats": _whole(1, 100),
    "task": _Text,
    "train_each": _Steps,
    "test_each": _Steps,
    "dense_steps": _Steps,
    "prune_steps": _Steps,
    "recover_steps": _whole(0, 1_000_000),
    "learning_rate": _number(1e-8, 1.0),
    "seeds": _list_of(_Seed),
    "control_blocks": _list_of(_Shape),
    "stored_blocks": _list_of(_Shape, or_none=True),
    "repeat_blocks": _list_of(_Shape, or_none=True),
    "pruners": _list_of(_one_of(PRUNERS), or_none=True),
    "pruner_blocks": _list_of(_Shape, or_none=True),
    "rated_seeds": _list_of(_Seed, or_none=True),
    "rated_steps": _Steps,
    "rated_learning_rate": _number(1e-8, 1.0),
    "rated_engines": _list_of(_one_of(ENGINES), or_none=True),
    "proximal_blocks": _list_of(_Shape, or_none=True),
}


def check(name: str, value: Any) -> Any:
    """The value, or an InputError that names the nearest right one.

    Raises
    ------
    InputError
        Unknown name, wrong type, or a value out of range.
    """
    try:
        return _adapter(name).validate_python(value, strict=True)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
    kind = PARAMETERS[name]
    if problem["loc"]:  # one value of a list
        (kind,), value = get_args(get_args(kind)[0]), problem["input"]
    raise _own(problem) or InputError(name, value, expected(name), _meant(kind, value))


def parse(name: str, text: str) -> Any:
    """A value typed on the command line: YAML, where numbers are numbers only for a parameter that is one.

    (YAML 1.1 would read the block shape ``0x4`` as the number four.)
    """
    schema = _schema(name)
    if schema["type"] == "string":
        return text
    words = schema.get("items", {}).get("type") == "string"
    try:
        return yaml.load(text, yaml.BaseLoader if words else yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):  # also a number of thousands of digits, or brackets as deep
        raise InputError(name, text, expected(name)) from None


def is_list(name: str) -> bool:
    """Whether a parameter takes a list of values."""
    return "items" in _schema(name)


def expected(name: str) -> str:
    """What a parameter may be, in words."""
    schema = _schema(name)
    each = schema.get("items", schema)
    words = {"integer": "an integer", "number": "a number", "string": "text"}[each["type"]]
    if "minimum" in each:
        words += f" from {each['minimum']} to {each['maximum']}"
    if "enum" in each:
        words = "one of " + ", ".join(each["enum"])
    words = each.get("description", words)
    if "items" not in schema:
        return str(words)
    return f"a list without repetition{'' if schema['minItems'] else ', or an empty one'}, each {words}"


def _meant(kind: Any, value: Any) -> Any:
    """What a refused value probably meant, where that is plain and right."""
    if get_origin(get_args(kind)[0]) is list:
        value = list(dict.fromkeys(value)) if isinstance(value, list) else [value]
    try:
        return TypeAdapter(kind, config=_LENIENT).validate_python(value)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
    if own := _own(problem):
        return None if problem["loc"] else own.nearest
    if get_origin(kind) is Literal:
        return nearest(value, get_args(kind))
    context = problem.get("ctx", {})
    return None if problem["loc"] else context.get("ge", context.get("le"))


def _own(problem: ErrorDetails) -> InputError | None:
    """The error of a block shape or a pruner, which say themselves what is wrong."""
    error = problem.get("ctx", {}).get("error")
    return error if isinstance(error, InputError) else None


@functools.cache
def _adapter(name: str) -> TypeAdapter[Any]:
    if name not in PARAMETERS:
        raise InputError("parameter", name, "a known parameter", nearest(name, PARAMETERS))
    return TypeAdapter(PARAMETERS[name])


@functools.cache
def _schema(name: str) -> dict[str, Any]:
    return _adapter(name).json_schema()
