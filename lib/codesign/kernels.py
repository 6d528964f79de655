"""Kernels of notebooks that begin with everything imported.

A fork server (`multiprocessing.forkserver`) imports torch, transformers, TVM and matplotlib once; the kernel of each
notebook is forked from it, a real kernel in a process and a session of its own. Nothing is measured in a kernel:
what is timed runs in processes that start afresh.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import threading
import uuid
import warnings
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, cast

from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import default

from codesign.records import REPOSITORY

#: What notebooks import and takes seconds to import.
SLOW = (
    *("ipykernel.kernelapp", "matplotlib_inline.backend_inline", "transformers.models.bert.modeling_bert"),
    *("codesign.compiler", "tvm.s_tir.tensor_intrin", "codesign.train.run", "codesign.plot"),
)


def prepare() -> None:
    """Begin to import what notebooks import, for several of them; one alone imports what it needs itself."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(SLOW))


class _Kernel(ForkServerProcess):
    """A kernel's process, spoken to by `jupyter_client` as if it were a `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, connection: str, environment: Mapping[str, str]) -> None:
        super().__init__()
        self._connection, self._environment = connection, dict(environment)

    def run(self) -> None:
        os.setsid()  # Ctrl-C in a terminal goes to the command alone, which ends its kernels
        os.chdir(REPOSITORY)
        os.environ.clear()
        os.environ.update(self._environment)
        os.environ.setdefault("TTY_COMPATIBLE", str(int(os.isatty(2))))  # a kernel believes that it has one
        warnings.filterwarnings("ignore", "IProgress not found")  # it has no widgets, and needs none
        threading.Thread(target=_end_with_parent, daemon=True).start()
        from ipykernel.kernelapp import launch_new_instance

        launch_new_instance(argv=["-f", self._connection, "--quiet"])

    def poll(self) -> int | None:
        return self.exitcode

    def wait(self) -> int | None:
        self.join()
        return self.exitcode

    def send_signal(self, number: int) -> None:
        if self.pid is not None:
            os.kill(self.pid, number)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class ForkedKernel(AsyncKernelManager):
    """A kernel that is forked, and spoken to over files instead of open ports."""

    transport = "ipc"

    @default("ip")
    def _beginning_of_file_names(self) -> str:
        """Jupyter's own default is one name for all: two notebooks begun in the same second would share their files."""
        return str(Path(tempfile.gettempdir()) / f"codesign-{uuid.uuid4().hex[:12]}")

    async def _async_launch_kernel(self, kernel_cmd: list[str], **options: Any) -> None:
        kernel = _Kernel(self.connection_file, options["env"])
        kernel.start()
        provisioner = cast(LocalProvisioner, self.provisioner)
        provisioner.process = kernel  # type: ignore[assignment]
        provisioner.pid = provisioner.pgid = kernel.pid
