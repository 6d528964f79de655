"""Block-sparse linears for TVM: lowering, schedule families, tuning and building.

Read in this order: ``operators`` (what is computed), ``schedules`` (how), ``layout`` and ``rewrite`` (how a model
becomes operators), ``space`` and ``tune`` (how TVM's tuner chooses), ``artifact`` (what is saved). `tvm_compat` names
every TVM internal that this leans on.
"""

from __future__ import annotations

from codesign.compiler.artifact import build
from codesign.compiler.database import open_database
from codesign.compiler.lower import PIPELINES, Lowered, lower_encoder
from codesign.compiler.target import TargetSpec, target_spec
from codesign.compiler.tasks import Task, extract_tasks, task_records
from codesign.compiler.tune import TuningReport, tune
from codesign.errors import MissingTask

__all__ = [
    "PIPELINES",
    "Lowered",
    "MissingTask",
    "TargetSpec",
    "Task",
    "TuningReport",
    "build",
    "extract_tasks",
    "lower_encoder",
    "open_database",
    "target_spec",
    "task_records",
    "tune",
]
