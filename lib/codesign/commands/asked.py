"""What `codesign bench` and `codesign compile` are asked for, and what a look at the model makes of it.

Nothing is pruned unless that is asked for. A model with zeros is taken as it was found, one without is dense.
"""

from __future__ import annotations

import argparse
import re
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import transformers

from codesign import machine
from codesign.blocks import BlockShape
from codesign.checkpoint import left_out
from codesign.encoder import MODELS, SCOPES, example_inputs, load_encoder, prunable_linears
from codesign.engines import SPARSE, find
from codesign.errors import InputError
from codesign.isa import NATIVE
from codesign.progress import say
from codesign.prune import check_blocks
from codesign.prune.report import AS_FOUND, Fit, best, fits, pruned_matrices
from codesign.study.parameters import PARAMETERS, check, is_list, parse
from codesign.study.points import Point
from codesign.study.sessions import OURS

#: Rules of notebook parameters that a request keeps, where it is typed.
_TYPED = ("scope", "batch", "seq", "threads", "isa")
PRUNER = "magnitude"
#: How a user asks for pruning.
PRUNE = "--prune 4x1@0.8"


@dataclass(frozen=True)
class Request:
    """What to bench or compile.

    ``sparsity`` asks for pruning, in ``blocks``; without it ``blocks`` are the shapes in which zeros that are there
    already are stored. None leaves a choice to us.

    Raises
    ------
    InputError
        If a value breaks the rule of the notebook parameter of that name, or an engine is unknown.
    """

    model: str
    batch: int
    seq: int
    threads: int
    trials_per_task: int
    engines: tuple[str, ...] = OURS
    isa: str = NATIVE
    scope: str | None = None
    blocks: tuple[str, ...] | None = None
    sparsity: float | None = None
    encoder_only: bool = False

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name in PARAMETERS and value is not None:
                check(name, list(value) if is_list(name) else value)
        for engine in self.engines:
            find(engine)


def typed(options: argparse.Namespace, blocks: str | None, **others: Any) -> Request:
    """Read what was typed after `bench` or `compile`.

    Raises
    ------
    InputError
        As `Request`, and for more threads than there are.
    """
    texts = {name: text for name in _TYPED if (text := getattr(options, name)) is not None}
    given = {"threads": machine.describe().cores} | {
        name: check(name, parse(name, text)) for name, text in texts.items()
    }
    given["trials_per_task"] = check("trials_per_task", parse("trials_per_task", options.trials))
    if blocks is not None:
        given["blocks"] = tuple(blocks.split(","))
    if options.prune is not None:
        if blocks is not None:
            raise InputError("blocks", blocks, "none with --prune, which names the shapes itself")
        given["blocks"], given["sparsity"] = pruning(options.prune)
    request = Request(model=options.model, encoder_only=options.encoder_only, **given, **others)
    machine.cpus(request.threads)
    return request


def pruning(text: str) -> tuple[tuple[str, ...], float]:
    """Read what ``--prune`` was given: ``4x1,32x1@0.8`` is these block shapes, each with this share of blocks removed.

    Raises
    ------
    InputError
        With the nearest that is right: a shape or a share that is wrong or missing is replaced.
    """
    shapes, at, share = text.partition("@")
    if not at and re.fullmatch(r"[0-9.]+", text):  # the share alone
        shapes, share = "", text
    near = ",".join(dict.fromkeys(_nearest("block", each, "4x1") for each in shapes.split(",")))
    near += f"@{_nearest('sparsity', share, '0.8')}"
    if near != text:
        raise InputError("prune", text, "SHAPES@SPARSITY, as in 4x1@0.8 or 4x1,32x1@0.8, the sparsity below 1", near)
    return tuple(shapes.split(",")), float(parse("sparsity", share))


def _nearest(name: str, text: str, otherwise: str) -> str:
    """Return a value as it was typed, if it is right; or else the nearest, a percentage as a share."""
    try:
        value = parse(name, text)
        check(name, value / 100 if type(value) in (int, float) and 2 <= value <= 100 else value)
    except InputError as error:
        return str(otherwise if error.nearest is None else error.nearest)
    return text if type(value) is str or value <= 1 else f"{value / 100:g}"


@dataclass(frozen=True)
class Plan:
    """What will be measured or compiled.

    ``found`` has the shapes that fit the zeros of a model which is taken as it was found (else empty), ``engines``
    those asked for that can run the points, ``left_out`` the head that the model has lost (`codesign.checkpoint`).
    """

    points: list[Point]
    found: list[Fit]
    engines: tuple[str, ...]
    left_out: list[str]


def plan(request: Request) -> Plan:
    """Look at the model and say what will be done with it.

    Raises
    ------
    InputError
        If there is no such model, it takes no such input, or it does not suit the other parameters.
    """
    model = load_encoder(request.model, encoder_only=request.encoder_only)
    head = left_out(model.config)
    if head:
        say(f"{request.model}: without its head, {', '.join(head)}; what comes out is the last hidden state")
    example_inputs(model, request.batch, request.seq, seed=0)  # refuses a shape that the model does not take
    linears = prunable_linears(model, request.scope or "all")
    for block in request.blocks or ():
        check_blocks(BlockShape.parse(block), {name: linear.weight for name, linear in linears.items()})
    weights = {name: linear.weight.detach().numpy() for name, linear in linears.items()}
    zeros, found = pruned_matrices(weights), list[Fit]()
    pruner = PRUNER
    if request.sparsity is None and not zeros:
        return Plan([_point(request, model, pruner).dense], found, _for_dense(request, weights), head)
    if request.sparsity is None:
        found, pruner = fits(zeros.values()), AS_FOUND
        request = _as_found(request, model, set(zeros), found)
    if not set(request.engines) & set(SPARSE):
        raise InputError("engines", ",".join(request.engines), f"at least one of {', '.join(SPARSE)} among them")
    point = _point(request, model, pruner)
    return Plan([replace(point, block=block) for block in request.blocks or ()], found, request.engines, head)


def _as_found(request: Request, model: transformers.BertModel, pruned: set[str], found: Sequence[Fit]) -> Request:
    """Fill in what a pruned checkpoint says itself: where its zeros are, how many, in which blocks."""
    zeros, fit = found[0].block_sparsity, best(found)  # the first shape is 1x1
    scope = request.scope or next(name for name in SCOPES if pruned <= prunable_linears(model, name).keys())
    say(
        f"{request.model} is pruned already: {zeros:.1%} zeros in {len(pruned)} matrices ({scope}); "
        f"{fit.block} fits best, storing {fit.fill_in:.2f} elements for each that is not zero"
    )
    blocks = request.blocks or (str(fit.block),)
    return replace(request, scope=scope, blocks=blocks, sparsity=round(zeros, 4))


def _for_dense(request: Request, weights: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Say that a model is dense and how it would be pruned; return the engines that compute zeros.

    Refuses what only makes sense for a pruned model: a wish that was not granted would go unnoticed.
    """
    share = sum(int((each == 0).sum()) for each in weights.values()) / sum(each.size for each in weights.values())
    where = f"{request.scope or 'all'} weights"
    why = f"only {share:.1%} of its {where} are zero" if share else f"none of its {where} is zero"
    if request.blocks is not None:
        blocks = ",".join(request.blocks)
        _refuse("blocks", blocks, f"{why}: there are no blocks to leave out", f"--prune {blocks}@0.8")
    if request.scope is not None:
        _refuse("scope", request.scope, why)
    engines = tuple(engine for engine in request.engines if engine not in SPARSE)
    if not engines:
        _refuse("engines", ",".join(request.engines), f"{why}: these are for pruned models")
    say(f"{request.model}: {why}, so it is taken as dense. To prune it first: {PRUNE}")
    return engines


def _refuse(name: str, value: object, why: str, nearest: str = PRUNE) -> NoReturn:
    raise InputError(name, value, f"none without --prune: {why}", nearest)


def _point(request: Request, model: transformers.BertModel, pruner: str) -> Point:
    """Describe the first point of a request; what it leaves open has no meaning for a dense one."""
    name, seed = _named(request.model, model)
    block = (request.blocks or ("1x1",))[0]
    pruning = request.scope or "all", pruner, block, float(request.sparsity or 0)
    return Point(name, seed, *pruning, request.batch, request.seq, request.threads)


def _named(name: str, model: transformers.BertModel) -> tuple[str, int]:
    """Model and seed of a point.

    Weights in a directory do not depend on a seed, so their checksum stands in for it: other weights in the same place
    are another model, whose results are not mistaken for the ones before.
    """
    if name in MODELS or not Path(name).is_dir():
        return name, 0
    checksum = 0
    for linear in prunable_linears(model, "all").values():
        checksum = zlib.crc32(linear.weight.detach().numpy().data, checksum)
    return str(Path(name).resolve()), checksum & 0x7FFFFFFF
