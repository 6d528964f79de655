"""Tuning tasks: what the models to be tuned have in common, counted; and what each kernel is for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codesign.blocks import DENSE
from codesign.compiler.database import best_record, best_seconds, open_database, trials
from codesign.compiler.formats import FP32
from codesign.compiler.lower import Lowered
from codesign.compiler.operators import (
    Attention,
    LayerNorm,
    Linear,
    Operator,
    Rounded,
    ToFeatureMajor,
    TokenSteps,
    ToTokenMajor,
    family_operator_of,
    operator_of,
)
from codesign.compiler.space import picked
from codesign.compiler.tvm_compat import ms, structural_hash, tirx, tvm
from codesign.schema.parts import KERNEL_KINDS

#: What a kernel of a compiled encoder is for: names that a profile can group by.
SPARSE, WHOLE, ATTENTION, LAYER_NORM, GELU, EMBEDDING, LAYOUT, ROUNDING, OTHER = KINDS = KERNEL_KINDS

#: Our operators; a `Linear` is told by its storage.
_OPERATORS: dict[type[Operator], str] = {
    **{Attention: ATTENTION, LayerNorm: LAYER_NORM, ToFeatureMajor: LAYOUT, ToTokenMajor: LAYOUT},
    **{TokenSteps: ROUNDING, Rounded: ROUNDING},
}
#: Words in the names that TVM gives to its own functions, from the operators that it fused; the first match counts.
_WORDS = (
    ("softmax", ATTENTION),
    ("layer_norm", LAYER_NORM),
    ("gelu", GELU),
    ("erf", GELU),
    ("take", EMBEDDING),
    ("strided_slice", EMBEDDING),  # of the position table
    ("_cast", OTHER),  # ids and mask as they come in
    ("matmul", WHOLE),
    ("add", WHOLE),  # biases and residuals that TVM left outside its products
    ("transpose", LAYOUT),
    ("permute", LAYOUT),
    ("reshape", LAYOUT),
    ("layout", LAYOUT),
)
#: A product of two activations has no weight of rank 2.
_HEADS_RANK = 3


@dataclass
class Task:
    """One distinct function to tune.

    ``digest`` identifies its structure across runs; ``weight`` counts its calls over all models: what the task
    scheduler multiplies a latency with.
    """

    name: str
    module: tvm.IRModule
    digest: str
    weight: int = 0

    def __str__(self) -> str:
        return self.name

    @property
    def operator(self) -> Operator | None:
        """Our operator, or None for one of TVM's own functions."""
        return operator_of(self.module["main"])

    @property
    def by_families(self) -> bool:
        """Whether our schedule families compute it, and not TVM's rules."""
        return family_operator_of(self.module["main"]) is not None

    def fields(self) -> dict[str, Any]:
        """Describe the task for a record."""
        operator = self.operator
        fields = dict.fromkeys(("m", "n", "k", "task_block", "nnz_blocks"))
        kind = "stock" if operator is None else "other"
        if isinstance(operator, Linear):
            kind = "dense" if operator.is_dense else "bsr"
            sizes = operator.tokens, operator.outputs, operator.inputs, _block(operator), operator.nnz
            fields = dict(zip(fields, sizes, strict=True))
        return {"task": self.name, "digest": self.digest, "family_kind": kind, **fields}


def extract_tasks(models: Sequence[Lowered]) -> list[Task]:
    """Extract the tasks of all models, each distinct function once, heaviest first."""
    tasks: dict[str, Task] = {}
    for lowered in models:
        for extracted in ms.relax_integration.extract_tasks(lowered.module, lowered.spec.target):
            module = extracted.dispatched[0]
            digest = _digest(module)
            task = tasks.setdefault(digest, Task(_name(module, extracted.task_name), module, digest))
            task.weight += int(extracted.weight)
    return sorted(tasks.values(), key=lambda task: (-task.weight, task.name))


def task_of(operator: Operator) -> Task:
    """Make a task of a single operator, used once: what a study of kernels tunes."""
    module = tvm.IRModule({"main": operator.unscheduled()})
    return Task(_name(module, operator.kind), module, _digest(module), 1)


def _digest(module: tvm.IRModule) -> str:
    return f"{structural_hash(module) & 0xFFFFFFFFFFFFFFFF:016x}"


def _name(module: tvm.IRModule, fallback: str) -> str:
    operator = operator_of(module["main"])
    if not isinstance(operator, Linear):
        return fallback
    format = "" if operator.format == FP32.name else f"_{operator.format}"
    return f"linear_{operator.outputs}x{operator.inputs}_{_block(operator)}_{operator.epilogue}{format}"


def _block(operator: Linear) -> str:
    return DENSE if operator.is_dense else f"{operator.rows}x{operator.cols}"


def task_records(lowered: Lowered, database: Any | None) -> list[dict[str, Any]]:
    """Fields of a `task` record for every task of a model: its weight, trials and best time so far.

    Parameters
    ----------
    lowered
        The model.
    database
        Directory of a tuning database, or None: trials are then 0.
    """
    opened = None if database is None else open_database(database, lowered.spec)
    rows = []
    for task in extract_tasks([lowered]):
        records = [] if opened is None else trials(opened, task.module)
        best = best_seconds(records)
        rows.append(
            {
                **task.fields(),
                "weight": task.weight,
                "trials": len(records),
                "best_ns": None if best is None else best * 1e9,
                "decisions": best_decisions(opened, task) if opened is not None and records else None,
            }
        )
    return rows


def best_decisions(opened: ms.Database, task: Task) -> dict[str, Any] | None:
    """Family and decisions of a task's best record; None for TVM's own tasks, and where nothing is recorded."""
    record = best_record(opened, task.module)
    if not task.by_families or record is None:
        return None
    family, decisions = picked(record.as_measure_candidate().sch)
    return {"family": family.name, **decisions}


def kinds(module: tvm.IRModule) -> dict[str, str]:
    """Kind of every TensorIR function of a module, by name."""
    found = module.functions_items()
    return {name.name_hint: kind_of(name.name_hint, f) for name, f in found if isinstance(f, tirx.PrimFunc)}


def kind_of(name: str, function: tirx.PrimFunc) -> str:
    """Kind of one function, `OTHER` where nothing tells."""
    operator = operator_of(function)
    if isinstance(operator, Linear):
        return WHOLE if operator.is_dense else SPARSE
    if operator is not None:
        return _OPERATORS.get(type(operator), OTHER)
    kind = next((kind for word, kind in _WORDS if word in name), OTHER)
    if "matmul" in name and kind == WHOLE:
        ranks = [len(param.shape) for param in list(function.params)[:2]]
        return ATTENTION if min(ranks) >= _HEADS_RANK and ranks[0] == ranks[1] else WHOLE
    return kind
