"""One model, one pipeline, one target: from a checkpoint to a Relax module whose functions are tuning tasks."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codesign.blocks import BlockShape
from codesign.compiler.formats import FORMATS, FP32
from codesign.compiler.layout import FEATURE_MAJOR, LAYOUTS, layout_for
from codesign.compiler.rewrite import Rewriter, Weights
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import Schedule, relax, silenced, tirx, tvm
from codesign.errors import InputError, one_of

#: ``codesign`` stores linears in blocks and runs them on our operators; ``stock`` is TVM 0.27 as it comes.
PIPELINES = ("codesign", "stock")

#: What the newest import gave, by architecture and input shape: weights are arguments, so it does not depend on them.
_IMPORTED: dict[str, tuple[relax.Function, dict[str, str]]] = {}


@dataclass(frozen=True, eq=False)
class Lowered:
    """A model ready to be tuned or built.

    ``params`` holds the weight arguments of ``main``, in order. ``about`` is what an artefact's manifest says of the
    model: ``inputs``, ``vocabulary``, ``types`` and ``left_out``. ``block`` is the shape that sparse weights are stored
    in; ``weights`` a digest of all weights before that.
    """

    module: tvm.IRModule
    params: dict[str, np.ndarray]
    pipeline: str
    format: str
    spec: TargetSpec
    batch: int
    seq: int
    about: dict[str, Any]
    bsr_linears: int
    dense_linears: int
    block: BlockShape | None
    weights: str


def lower_encoder(
    checkpoint: Path | str,
    *,
    block: BlockShape | None,
    batch: int,
    seq: int,
    spec: TargetSpec,
    pipeline: str = "codesign",
    layout: str = FEATURE_MAJOR,
    strips: bool = True,
    format: str = FP32.name,
) -> Lowered:
    """Lower an encoder to tunable functions.

    Parameters
    ----------
    checkpoint
        A directory, or any name that `codesign.encoder.load_encoder` takes.
    block
        Block shape in which sparse weights are stored; None stores all of them whole.
    batch, seq
        The input shape that is compiled for.
    spec
        The target.
    pipeline
        One of `PIPELINES`.
    layout
        How activations lie in our pipeline, one of `codesign.compiler.layout.LAYOUTS`.
    strips
        Whether our pipeline stores weights in strips of a few rows (`codesign.compiler.operators.Linear`); if not,
        and wherever activations are token-major, blocks are stored whole.
    format
        Number format of the linears in our pipeline, one of `codesign.compiler.formats.FORMATS`; what lies between them
        is float32.

    Raises
    ------
    InputError
        If the pipeline, the layout or the format is unknown, or no schedule family computes a linear of the model.
    """
    if pipeline not in PIPELINES:
        raise InputError("pipeline", pipeline, f"one of {', '.join(PIPELINES)}", "codesign")
    if layout not in LAYOUTS:
        raise InputError("layout", layout, f"one of {', '.join(LAYOUTS)}", FEATURE_MAJOR)
    one_of("format", format, FORMATS)
    if format != FP32.name and (pipeline, layout) != ("codesign", FEATURE_MAJOR):
        raise InputError("format", format, f"a {FEATURE_MAJOR} encoder of our own pipeline", FP32.name)
    # torch and transformers take seconds to import, which the tuner's workers need not pay
    from codesign.checkpoint import left_out
    from codesign.encoder import load_encoder, prunable_linears
    from codesign.forward import input_names

    model = load_encoder(str(checkpoint), attention="sdpa")
    with silenced(), spec.target:
        function, weights = import_encoder(model, batch, seq, decompose=pipeline == "stock")
        if pipeline == "codesign":
            laid_out = layout_for(batch, seq, spec, layout, strips=strips, number=FORMATS[format])
            rewriter = Rewriter(function, weights, block, laid_out)
            module, params = rewriter.run()
            dense = sum(linear.is_dense for linear in rewriter.stored.values())
            stored = len(rewriter.stored) - dense, dense
        else:
            module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
            params = {name: array for name, (_, array) in weights.items()}
            stored = 0, len(prunable_linears(model, "all"))
        module = tvm.transform.Sequential(
            [
                relax.transform.DecomposeOpsForInference(),
                relax.transform.CanonicalizeBindings(),
                relax.transform.LegalizeOps(),
                relax.transform.AnnotateTIROpPattern(),
                relax.transform.FoldConstant(),
                relax.transform.FuseOps(),
                relax.transform.FuseTIR(),
                relax.transform.DeadCodeElimination(),
            ]
        )(module)
        if pipeline == "stock":
            module = _free_weight_layouts(module)
    config = model.config
    sizes = {"vocabulary": config.vocab_size, "types": config.type_vocab_size}
    about = {"inputs": list(input_names(config)), **sizes, "left_out": left_out(config)}
    digest = digest_of_weights(dict(weights.values()))
    block = block if stored[0] else None
    return Lowered(module, params, pipeline, format, spec, batch, seq, about, *stored, block, digest)


def import_encoder(model: Any, batch: int, seq: int, *, decompose: bool) -> tuple[relax.Function, Weights]:
    """Export an encoder from PyTorch and import it into Relax, with its weights as arguments.

    Keeping weights out of the IR keeps every pass fast.

    Parameters
    ----------
    model
        From `codesign.encoder.load_encoder`.
    batch, seq
        The shape that the compiled encoder will accept.
    decompose
        True takes PyTorch's decompositions, as TVM's importer does by default; False keeps attention one operator.
    """
    from codesign.forward import EncoderForward

    state = EncoderForward(model).state_dict(keep_vars=False)
    architecture = {name: value for name, value in model.config.to_dict().items() if name != "_name_or_path"}
    key = json.dumps([architecture, str(model.dtype), batch, seq, decompose], sort_keys=True, default=str)
    if key not in _IMPORTED:
        _IMPORTED.clear()  # a study goes through many encoders of one architecture
        _IMPORTED[key] = _import(model, batch, seq, decompose=decompose)
    function, paths = _IMPORTED[key]
    return function, {name: (path, np.ascontiguousarray(state[path].numpy())) for name, path in paths.items()}


def _import(model: Any, batch: int, seq: int, *, decompose: bool) -> tuple[relax.Function, dict[str, str]]:
    """Return the function, and for the name of each weight its path in the model."""
    import torch
    from tvm.relax.frontend.torch import from_exported_program

    from codesign.encoder import example_inputs
    from codesign.forward import EncoderForward

    forward = EncoderForward(model)
    inputs = tuple(torch.from_numpy(array) for array in example_inputs(model, batch, seq, seed=0).values())
    with torch.no_grad(), warnings.catch_warnings():
        # torch.export pickles its own deprecated tree specs
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        program = torch.export.export(forward, inputs, strict=False)
        module = from_exported_program(
            program, keep_params_as_input=True, unwrap_unit_return_tuple=True, run_ep_decomposition=decompose
        )
    function = module["main"]
    paths = {spec.arg.name: spec.target for spec in program.graph_signature.input_specs}
    names = [param.name for param in function.params[int(function.attrs["num_input"]) :]]
    return function.without_attr("params"), {name: paths[name] for name in names}


def _free_weight_layouts(module: tvm.IRModule) -> tvm.IRModule:
    """Let the tuner choose the layout of constant weights: what TVM calls "cpu weight prepack".

    Only where a weight is reduced over: in TVM 0.27 the rewrite forgets the index of a gathered or sliced table, and
    reads the wrong row.
    """
    module = relax.transform.AttachAttrLayoutFreeBuffers()(module)
    for name, function in list(module.functions_items()):
        if isinstance(function, tirx.PrimFunc) and not _reduces(function):
            module[name] = function.without_attr("layout_free_buffers")
    return module


def _reduces(function: tirx.PrimFunc) -> bool:
    schedule = Schedule(tvm.IRModule({"main": function}))
    blocks = schedule.get_child_blocks(schedule.get_sblock("root"))
    return any(axis.iter_type == tirx.IterVar.CommReduce for block in blocks for axis in schedule.get(block).iter_vars)


def digest_of_weights(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, types, shapes and values, whatever the order of the arrays."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
