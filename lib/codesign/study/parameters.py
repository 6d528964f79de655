"""The parameters of the notebooks: one rule each, and which notebook takes which.

Everything that reads a parameter (the command line, a profile file, a notebook run by hand) is checked here, because
papermill itself only warns about unknown names and casts values by trial.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from codesign.blocks import BlockShape
from codesign.encoder import LINEARS, SCOPES
from codesign.engines import ENGINES
from codesign.errors import InputError
from codesign.measure import PROTOCOLS
from codesign.prune import AS_FOUND, PRUNERS
from codesign.prune.allocation import ALLOCATIONS
from codesign.records import LOCAL
from codesign.schema import ISAS
from codesign.study.places import ASIDE, SHOWN, machines


@dataclass(frozen=True)
class Rule:
    """What a parameter may be.

    Parameters
    ----------
    kind
        ``int``, ``float`` or ``str``.
    low, high
        Bounds of a number, both allowed.
    choices
        The only values allowed, where there is such a list.
    tagged
        A choice may be followed by ``@`` and any text: which training the choice was part of.
    shape
        The text is a block shape.
    many
        A list of such values without repetition.
    empty
        Such a list may be empty.
    """

    kind: type[Any]
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    tagged: bool = False
    shape: bool = False
    many: bool = False
    empty: bool = False

    @property
    def expected(self) -> str:
        """The rule in words."""
        what = {int: "an integer", float: "a number", str: "text"}[self.kind]
        if self.low is not None:
            what += f" from {self.low} to {self.high}"
        if self.choices:
            what = "one of " + ", ".join(self.choices)
        if self.shape:
            what = "a block shape as '32x1'"
        if not self.many:
            return what
        return f"a list without repetition{', or an empty one' if self.empty else ''}, each {what}"


#: A sparsity of 1 leaves no block at all.
SPARSITY_MAX = 0.999

RULES: Mapping[str, Rule] = {
    "results": Rule(str, choices=(SHOWN, LOCAL, *machines())),
    "profile": Rule(str, choices=(*PROTOCOLS, *ASIDE)),
    "model": Rule(str),
    "seed": Rule(int, low=0, high=2**31 - 1),
    "scope": Rule(str, choices=SCOPES),
    "scopes": Rule(str, choices=SCOPES, many=True),
    "pruner": Rule(str, choices=(*PRUNERS, AS_FOUND), tagged=True),
    "block": Rule(str, shape=True),
    "blocks": Rule(str, shape=True, many=True),
    "sparsity": Rule(float, low=0.0, high=SPARSITY_MAX),
    "batch": Rule(int, low=1, high=256),
    "seq": Rule(int, low=1, high=512),
    "threads": Rule(int, low=1, high=256),
    "isa": Rule(str, choices=ISAS),
    "isas": Rule(str, choices=ISAS, many=True),
    "linears": Rule(str, choices=LINEARS, many=True),
    "trials_per_task": Rule(int, low=1, high=100_000),
    "engines": Rule(str, choices=tuple(ENGINES), many=True),
    "peer_blocks": Rule(str, shape=True, many=True, empty=True),
    "rival": Rule(str, choices=tuple(ENGINES)),
    "load_blocks": Rule(str, shape=True, many=True),
    "batches": Rule(int, low=1, high=256, many=True, empty=True),
    "seqs": Rule(int, low=1, high=512, many=True, empty=True),
    "thread_counts": Rule(int, low=1, high=256, many=True, empty=True),
    "sparsities": Rule(float, low=0.0, high=SPARSITY_MAX, many=True, empty=True),
    "models": Rule(str, many=True, empty=True),
    "model_sparsities": Rule(float, low=0.0, high=SPARSITY_MAX, many=True, empty=True),
    "allocations": Rule(str, choices=ALLOCATIONS, many=True),
    "bucket": Rule(float, low=0.001, high=1.0),
    "search_trials": Rule(int, low=1, high=100_000),
    "passes": Rule(int, low=1, high=1000),
    "stock_trials": Rule(int, low=1, high=100_000),
    "repeats": Rule(int, low=1, high=100),
    "task": Rule(str),
    "train_each": Rule(int, low=1, high=1_000_000),
    "test_each": Rule(int, low=1, high=1_000_000),
    "dense_steps": Rule(int, low=1, high=1_000_000),
    "prune_steps": Rule(int, low=1, high=1_000_000),
    "recover_steps": Rule(int, low=0, high=1_000_000),
    "learning_rate": Rule(float, low=1e-8, high=1.0),
    "seeds": Rule(int, low=0, high=2**31 - 1, many=True),
    "control_blocks": Rule(str, shape=True, many=True),
    "stored_blocks": Rule(str, shape=True, many=True, empty=True),
    "repeat_blocks": Rule(str, shape=True, many=True, empty=True),
    "pruners": Rule(str, choices=tuple(PRUNERS), many=True, empty=True),
    "pruner_blocks": Rule(str, shape=True, many=True, empty=True),
    "proximal_blocks": Rule(str, shape=True, many=True, empty=True),
}

_MODE = ("results", "profile")
_LOAD = ("batch", "seq", "threads")
_FACTORS = ("batches", "seqs", "thread_counts", "sparsities", "models", "model_sparsities")
_SWEEP = (*_MODE, "model", "seed", "scopes", "pruner", "blocks", "sparsity", *_LOAD)

#: Notebook -> the parameters that its `parameters` cell must define, no more and no fewer.
NOTEBOOKS: Mapping[str, tuple[str, ...]] = {
    "01_prune": _SWEEP,
    "02_compile": _SWEEP,
    "03_tune": (*_SWEEP, "trials_per_task"),
    "04_latency": (*_SWEEP, "engines", "peer_blocks", "rival"),
    "05_scheduler": _SWEEP,
    "06_sweeps": (
        *_MODE, "model", "seed", "scope", "pruner", "sparsity", *_LOAD, "load_blocks", "blocks", "engines",
        *_FACTORS, "trials_per_task",
    ),
    "07_your_shape": (
        *_MODE, "model", "seed", "scope", "pruner", "block", "sparsity", *_LOAD, "trials_per_task",
    ),
    "08_kernels": (*_MODE, "model", "linears", "seed", "blocks", "sparsity", *_LOAD),
    "09_families": (*_MODE, "model", "linears", "seed", "blocks", "sparsity", *_LOAD, "load_blocks", "seqs"),
    "10_search": (
        *_MODE, "model", "seed", "scope", "pruner", "block", "sparsity", *_LOAD, "search_trials",
        "passes", "stock_trials", "repeats", "trials_per_task",
    ),
    "11_accuracy": (
        *_MODE, "model", "seed", "scope", "pruner", "blocks", "sparsity", *_LOAD, "task", "train_each", "test_each",
        "dense_steps", "prune_steps", "recover_steps", "learning_rate", "control_blocks", "stored_blocks",
        "repeat_blocks", "sparsities", "seeds", "pruners", "pruner_blocks", "proximal_blocks",
        "trials_per_task",
    ),
    "12_identity": (
        *_MODE, "model", "models", "seed", "scope", "pruner", "blocks", "sparsity", *_LOAD, "allocations", "bucket",
    ),
    "14_patterns": (*_MODE, "model", "linears", "seed", "blocks", "sparsity", *_LOAD),
    "15_ledger": (*_SWEEP, "isas", "trials_per_task"),
    "16_layer": (*_MODE, "model", "seed", "scope", "pruner", "blocks", "sparsity", *_LOAD),
    "17_layouts": (*_MODE, "model", "seed", "scope", "pruner", "blocks", "sparsity", *_LOAD, "trials_per_task"),
}  # fmt: skip


def nearest(text: object, names: Iterable[str]) -> str | None:
    """The most similar name, or None when nothing is similar."""
    names = list(names)
    longer = [name for name in names if text and name.startswith(str(text))]
    matches = longer or difflib.get_close_matches(str(text), names, n=1, cutoff=0.4)
    return matches[0] if matches else None


def check(name: str, value: Any) -> Any:
    """The value, or an InputError that names the nearest right one.

    Raises
    ------
    InputError
        Unknown name, wrong type, or a value out of range.
    """
    rule = _rule(name, RULES)
    if not rule.many:
        return _check_one(name, value, rule)
    if not isinstance(value, list) or not (value or rule.empty) or len(set(map(str, value))) != len(value):
        raise InputError(name, value, rule.expected, _without_repetition(value, rule))
    return [_check_one(name, item, rule) for item in value]


def parse(name: str, text: str) -> Any:
    """A value typed on the command line: YAML, where numbers are numbers only for a parameter that is one.

    (YAML 1.1 would read the block shape ``0x4`` as the number four.)
    """
    rule = _rule(name, RULES)
    if rule.kind is str and not rule.many:
        return text
    try:
        return yaml.load(text, yaml.BaseLoader if rule.kind is str else yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):  # also a number of thousands of digits, or brackets as deep
        raise InputError(name, text, rule.expected) from None


def check_all(notebook: str, values: Mapping[str, Any], *, complete: bool = True) -> dict[str, Any]:
    """Check a notebook's parameters together.

    Parameters
    ----------
    notebook
        Name without suffix, as in ``"03_tune"``.
    values
        Parameter name -> value.
    complete
        Refuse when a parameter of the notebook has no value.

    Raises
    ------
    InputError
        Unknown notebook; a name the notebook does not take; one it takes and is missing; a value against its rule.
    """
    wanted = parameters_of(notebook)
    for name in values:
        if name not in wanted:
            raise InputError("parameter", name, f"a parameter of {notebook}", nearest(name, wanted))
    missing = [name for name in wanted if name not in values]
    if complete and missing:
        raise InputError(missing[0], None, f"{RULES[missing[0]].expected} ({notebook} takes it, and it is missing)")
    return {name: check(name, value) for name, value in values.items()}


def parameters_of(notebook: str) -> tuple[str, ...]:
    """The parameter names that a notebook takes."""
    if notebook not in NOTEBOOKS:
        raise InputError("notebook", notebook, "one of " + ", ".join(NOTEBOOKS), nearest(notebook, NOTEBOOKS))
    return NOTEBOOKS[notebook]


def _rule(name: str, rules: Mapping[str, Rule]) -> Rule:
    if name not in rules:
        raise InputError("parameter", name, "a known parameter", nearest(name, rules))
    return rules[name]


def _without_repetition(value: Any, rule: Rule) -> list[Any] | None:
    """What a refused list probably meant: each of its values once, if they are right; a value on its own as a list."""
    items = value if isinstance(value, list) else [value]
    near = [item for n, item in enumerate(items) if item not in items[:n]]
    try:
        return [_check_one("", item, rule) for item in near] or None
    except InputError:
        return None


def _check_one(name: str, value: Any, rule: Rule) -> Any:
    if rule.kind is float and type(value) is int:
        value = float(value)
    if type(value) is not rule.kind or value == "":  # type(), because True is an int to isinstance
        raise InputError(name, value, rule.expected, _cast(value, rule))
    if rule.low is not None and rule.high is not None and not rule.low <= value <= rule.high:
        clamped = rule.kind(min(max(value, rule.low), rule.high)) if value == value else None
        raise InputError(name, value, rule.expected, clamped)
    chosen = value.partition("@")[0] if rule.tagged else value
    if rule.choices and chosen not in rule.choices:
        raise InputError(name, value, rule.expected, nearest(chosen, rule.choices))
    if rule.shape:
        BlockShape.parse(value)
    return value


def _cast(value: Any, rule: Rule) -> Any:
    """What a value of the wrong type probably meant, where that is plain and right."""
    if value in (None, "") or (rule.kind is str and isinstance(value, list | dict)):
        return None
    try:
        return _check_one("", rule.kind(value), rule)
    except InputError as error:
        return error.nearest
    except (TypeError, ValueError, OverflowError):
        return None
