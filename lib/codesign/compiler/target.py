"""What the compiler compiles for: a TVM target, and the registers a schedule may fill."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from codesign import isa as isas
from codesign import machine
from codesign.compiler.tvm_compat import tvm
from codesign.errors import InputError


@dataclass(frozen=True)
class TargetSpec:
    """A CPU as schedules see it.

    ``mcpu`` and ``mattr`` are what LLVM is told (`codesign.isa.Isa`); ``lanes`` counts float32 in a vector register,
    ``registers`` the vector registers; ``threads`` is how many ways work is split.
    """

    mcpu: str
    lanes: int
    registers: int
    threads: int
    mattr: tuple[str, ...] = ()

    @property
    def cpu(self) -> str:
        """What decides the code of a kernel, as text: ``x86-64-v4+avx512vnni``."""
        return "".join((self.mcpu, *self.mattr))

    @property
    def key(self) -> str:
        """Name of the tuning database: TVM's own databases do not tell targets apart."""
        return f"{self.cpu}-{self.threads}t"

    @cached_property
    def target(self) -> tvm.target.Target:
        """The TVM target."""
        attributes = {"mattr": list(self.mattr)} if self.mattr else {}
        return tvm.target.Target({"kind": "llvm", "mcpu": self.mcpu, "num-cores": self.threads, **attributes})

    def requires(self) -> list[str]:
        """Flags in ``/proc/cpuinfo`` that a CPU needs to run the code."""
        features = {str(name) for name in tvm.get_global_func("target.llvm_get_cpu_features")(self.target)}
        return sorted(flag for flag, feature in isas.FEATURES.items() if feature in features)

    def fields(self) -> dict[str, object]:
        """Plain form for a manifest or a worker process."""
        sizes = {"lanes": self.lanes, "registers": self.registers, "threads": self.threads}
        return {"mcpu": self.mcpu, "mattr": list(self.mattr), **sizes}


def target_spec(threads: int, isa: str = isas.NATIVE) -> TargetSpec:
    """Describe the target.

    Parameters
    ----------
    threads
        At least 1 and at most the cores of this machine.
    isa
        ``native`` takes what this machine has; ``avx2`` or ``avx512`` leave out what goes beyond.

    Raises
    ------
    InputError
        If the machine has fewer cores, or lacks the instruction set.
    """
    cores = machine.describe().cores
    if not 1 <= threads <= cores:
        raise InputError("threads", threads, f"1 to {cores}, the cores of this machine", min(max(threads, 1), cores))
    flags = isas.cpu_flags()
    try:
        widest = isas.isa_of(flags)
    except isas.IsaError as error:
        raise InputError("isa", isa, f"an x86 CPU with at least AVX2 ({error})") from None
    here = {isas.NATIVE: widest, "avx2": isas.isa_of(isas.masked(flags, "avx2"))}
    if widest.lanes == 16:
        here["avx512"] = isas.isa_of(isas.masked(flags, "avx512"))
    if isa not in here:
        raise InputError("isa", isa, "one of native, avx2, avx512 that this machine has", [*here][-1])
    found = here[isa]
    return TargetSpec(found.mcpu, found.lanes, found.registers, threads, found.mattr)
