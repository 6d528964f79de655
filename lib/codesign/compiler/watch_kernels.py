"""Compiles what a session watches its machine with: ``python -m codesign.compiler.watch_kernels DIRECTORY THREADS``.

A process of its own, because it imports the whole compiler, and PyTorch with it; what it leaves needs the runtime only.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from codesign import machine
from codesign.compiler.ceilings import compiled, exchange, stream
from codesign.compiler.target import target_spec

#: File that says how the kernels are called; kernel ``name`` is in the library ``name.so`` beside it.
PLAN = "plan.json"


def build(directory: Path, threads: int) -> None:
    """Compile the kernels behind two ceilings, with the same buffers: the rates can then be compared.

    The plan maps ``between_cores`` and ``l2`` (one thread's part of it) to ``loops``, the first input of a call that
    goes through the buffer once, to ``work``, the bytes that such a call moves, and to the ``shapes`` of the other
    arguments. It lacks ``between_cores`` for one thread, and both where the size of an L2 is unknown.
    """
    info, one, all_ = machine.describe(), target_spec(1), target_spec(threads)
    plan = {}
    for name, kernel, spec in (("l2", stream(info, "L2", one), one), ("between_cores", exchange(info, all_), all_)):
        if kernel.bytes and (name == "l2" or threads > 1):
            compiled(kernel, spec).export_library(str(directory / f"{name}.so"))
            shapes = [argument.shape for argument in kernel.arguments()[1:]]
            plan[name] = {"loops": kernel.loops(1).tolist(), "work": kernel.work(1), "shapes": shapes}
    (directory / PLAN).write_text(json.dumps(plan))


if __name__ == "__main__":
    build(Path(sys.argv[1]), int(sys.argv[2]))
