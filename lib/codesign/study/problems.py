"""Which kernels are studied: matrices of a model's sizes in each block shape, under each load."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import transformers

from codesign.blocks import DENSE, BlockShape
from codesign.compiler import target_spec
from codesign.compiler.bench import Candidate
from codesign.compiler.layout import linear_over, slabs_for
from codesign.compiler.operators import Linear
from codesign.compiler.operators.linear import panel_rows
from codesign.compiler.schedules import Decisions, families_for, find_family
from codesign.compiler.target import TargetSpec
from codesign.encoder import LINEARS, RANDOM_MODELS, directory_of
from codesign.isa import NATIVE
from codesign.prune.allocation import kept_blocks
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

    def operators(self) -> list[Linear]:
        """The linear layer: one sequence of tokens, laid out as in an encoder; blocks kept as pruning would.

        Stored as in an encoder first, in strips where blocks are tall; then, where that differs, in whole blocks.
        """
        slabs, size = slabs_for(1, self.tokens, self.spec), (self.outputs, self.inputs)
        if self.block == DENSE:
            block = BlockShape(panel_rows(slabs.slab // self.spec.lanes), self.inputs)
            nnz = block.grid(size)[0]
        else:
            block = BlockShape.parse(self.block)
            rows, columns = block.grid(size)
            nnz = kept_blocks(rows * columns, self.sparsity)
        stored = [linear_over(slabs, 1, size, block, nnz, "bias", self.spec, strips=strips) for strips in (True, False)]
        return list(dict.fromkeys(stored))

    def candidate(self, family: str, decisions: Decisions) -> Candidate:
        """Return a point of a family, over the first storage of `operators` that the family reads."""
        known = find_family(family)
        operator = next(each for each in self.operators() if known.points(each, self.spec))
        return Candidate(operator, family, decisions)

    def candidates(self) -> list[Candidate]:
        """Every valid point of every family, each over the first storage of `operators` that it reads."""
        stored = self.operators()
        found = []
        for family in families_for(stored[0]):
            points = ((operator, family.points(operator, self.spec)) for operator in stored)
            operator, valid = next(((each, valid) for each, valid in points if valid), (stored[0], []))
            found += [Candidate(operator, family.name, point) for point in valid]
        return found


def problems(
    model: str,
    linears: Sequence[str],
    seed: int,
    blocks: Sequence[str],
    sparsity: float,
    tokens: Sequence[int],
    threads: int,
) -> list[Problem]:
    """List problems: linears of a model by loads, each dense and in each block shape.

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
    threads
        Of the target, as in `target_spec`.

    Raises
    ------
    InputError
        If a value breaks its parameter's rule.
    """
    check("linears", list(linears))
    check("blocks", list(blocks))
    check("sparsity", sparsity)
    random = RANDOM_MODELS.get(model)
    config = random() if random else transformers.AutoConfig.from_pretrained(directory_of(model))
    hidden, wide = int(config.hidden_size), int(config.intermediate_size)
    sizes = dict(zip(LINEARS, ((hidden, hidden), (wide, hidden), (hidden, wide)), strict=True))
    shapes = [(DENSE, 0.0), *((block, float(sparsity)) for block in blocks)]
    return [
        Problem(*sizes[linear], count, NATIVE, threads, seed, block, share)
        for linear, count in itertools.product(linears, tokens)
        for block, share in shapes
    ]
