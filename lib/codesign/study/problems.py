"""Which kernels are studied: matrices of a model's sizes in each block shape, under each load, for each target."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import AutoConfig

from codesign.blocks import DENSE, BlockShape
from codesign.compiler import target_spec
from codesign.compiler.operators import Linear
from codesign.compiler.operators.linear import DENSE_ROWS
from codesign.compiler.slabs import slabs_for
from codesign.compiler.target import TargetSpec
from codesign.encoder import LINEARS, RANDOM_MODELS, directory_of
from codesign.prune.allocation import kept_blocks
from codesign.schema import NATIVE
from codesign.study.parameters import check


@dataclass(frozen=True, order=True)
class Problem:
    """A matrix of a block shape under a load on a target; the fields that find its records.

    A dense matrix has block ``"dense"`` and sparsity 0.
    """

    outputs: int
    inputs: int
    tokens: int
    isa: str
    threads: int
    seed: int
    block: str
    sparsity: float

    def __str__(self) -> str:
        return f"{self.outputs}x{self.inputs} {self.block}, {self.tokens} tokens, {self.isa}"

    @property
    def spec(self) -> TargetSpec:
        """What its kernels are compiled for."""
        return target_spec(self.threads, self.isa)

    def operator(self) -> Linear:
        """The linear layer: one sequence of tokens, laid out as in an encoder; blocks kept as pruning would."""
        slabs = slabs_for(1, self.tokens, self.spec)
        if self.block == DENSE:
            shape = BlockShape(DENSE_ROWS, self.inputs)
            nnz = shape.grid((self.outputs, self.inputs))[0]
        else:
            shape = BlockShape.parse(self.block)
            rows, columns = shape.grid((self.outputs, self.inputs))
            nnz = kept_blocks(rows * columns, self.sparsity)
        sizes = self.outputs, self.inputs, slabs.padded, shape.rows, shape.cols, nnz
        return Linear(*sizes, slabs.row_shares, "bias", slabs.slab, slabs.token_shares)


def layer_sizes(name: str) -> dict[str, tuple[int, int]]:
    """Outputs and inputs of the linears of a layer, by the names in `LINEARS`."""
    config = RANDOM_MODELS[name]() if name in RANDOM_MODELS else AutoConfig.from_pretrained(directory_of(name))
    hidden, wide = int(config.hidden_size), int(config.intermediate_size)
    return dict(zip(LINEARS, ((hidden, hidden), (wide, hidden), (hidden, wide)), strict=True))


def problems(
    model: str,
    linears: Sequence[str],
    seed: int,
    blocks: Sequence[str],
    sparsity: float,
    tokens: Sequence[int],
    threads: int,
    isas: Sequence[str] = (NATIVE,),
) -> list[Problem]:
    """List problems: linears of a model by loads and targets, each dense and in each block shape.

    Parameters
    ----------
    model, linears
        Whose linears, and which, as in `codesign.encoder.LINEARS`.
    seed
        Of patterns and values.
    blocks, sparsity
        Block shapes, and the share of blocks removed.
    tokens
        Columns of the activations.
    threads, isas
        Targets, as in `target_spec`.

    Raises
    ------
    InputError
        If a value breaks its parameter's rule.
    """
    check("linears", list(linears))
    check("blocks", list(blocks))
    check("sparsity", sparsity)
    sizes = layer_sizes(model)
    shapes = [(DENSE, 0.0), *((block, float(sparsity)) for block in blocks)]
    return [
        Problem(*sizes[linear], count, isa, threads, seed, block, share)
        for linear, count, isa in itertools.product(linears, tokens, isas)
        for block, share in shapes
    ]
