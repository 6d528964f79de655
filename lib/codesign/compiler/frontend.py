"""From PyTorch to Relax: one export, with the weights as named arguments."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
import transformers
from tvm.relax.frontend.torch import from_exported_program  # imports PyTorch: not in tvm_compat, which workers import

from codesign.compiler.tvm_compat import relax
from codesign.encoder import example_inputs
from codesign.forward import EncoderForward


@dataclass(frozen=True, eq=False)
class Imported:
    """An encoder in Relax.

    ``function`` takes ``inputs`` data arguments followed by the weights; ``weights`` maps each weight argument's name
    to its module path and ``arrays`` holds the values by module path. Keeping weights out of the IR keeps every pass
    fast, and lets one export serve every pruning mask.
    """

    function: relax.Function
    inputs: int
    weights: dict[str, str]
    arrays: dict[str, np.ndarray]


def import_encoder(model: transformers.BertModel, batch: int, seq: int, *, decompose: bool) -> Imported:
    """Export an encoder at a fixed shape and import it into Relax.

    Parameters
    ----------
    model
        From `codesign.encoder.load_encoder`.
    batch, seq
        The shape that the compiled encoder will accept.
    decompose
        True takes PyTorch's decompositions, as TVM's importer does by default; False keeps attention one operator.
    """
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
    count = int(function.attrs["num_input"])
    paths = {spec.arg.name: spec.target for spec in program.graph_signature.input_specs}
    weights = {param.name: paths[param.name] for param in function.params[count:]}
    state = forward.state_dict(keep_vars=False)
    arrays = {path: np.ascontiguousarray(state[path].numpy()) for path in weights.values()}
    return Imported(function.without_attr("params"), count, weights, arrays)
