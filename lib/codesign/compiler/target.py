"""What the compiler compiles for: a TVM target, and the registers a schedule may fill."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from codesign import machine
from codesign.compiler.tvm_compat import tvm
from codesign.errors import InputError
from codesign.runtime import cpu_flags

#: LLVM feature -> its flag in ``/proc/cpuinfo``, for what LLVM may use in numerical code without being asked.
_FLAGS = {name: name for name in ("avx", "avx2", "bmi2", "f16c", "fma", "gfni")} | {
    **{"bmi": "bmi1", "lzcnt": "abm", "avxvnni": "avx_vnni"},
    **{f"avx512{name}": f"avx512{name}" for name in ("bw", "cd", "dq", "f", "ifma", "vbmi", "vl")},
    **{f"avx512{name}": f"avx512_{name}" for name in ("bf16", "bitalg", "fp16", "vbmi2", "vnni", "vpopcntdq")},
}


@dataclass(frozen=True)
class TargetSpec:
    """A CPU as schedules see it.

    ``mcpu`` is LLVM's name; ``lanes`` counts float32 in a vector register, ``registers`` the vector registers;
    ``threads`` is how many ways work is split.
    """

    mcpu: str
    lanes: int
    registers: int
    threads: int

    @property
    def key(self) -> str:
        """Name of the tuning database: TVM's own databases do not tell targets apart."""
        return f"{self.mcpu}-{self.threads}t"

    @cached_property
    def target(self) -> tvm.target.Target:
        """The TVM target."""
        return tvm.target.Target({"kind": "llvm", "mcpu": self.mcpu, "num-cores": self.threads})

    def requires(self) -> list[str]:
        """Flags in ``/proc/cpuinfo`` that a CPU needs to run the code.

        Those that this machine hides (a virtual machine may) are left out: code is run here before it counts.
        """
        features = {str(name) for name in tvm.get_global_func("target.llvm_get_cpu_features")(self.target)}
        return sorted({flag for feature, flag in _FLAGS.items() if feature in features} & cpu_flags())

    def fields(self) -> dict[str, object]:
        """Plain form for a manifest or a worker process."""
        return {"mcpu": self.mcpu, "lanes": self.lanes, "registers": self.registers, "threads": self.threads}


#: isa -> (LLVM CPU, float32 lanes, vector registers); AVX-512 doubles both over AVX2.
_ISAS = {"avx2": ("x86-64-v3", 8, 16), "avx512": ("x86-64-v4", 16, 32)}


def target_spec(threads: int, isa: str = "native") -> TargetSpec:
    """Describe the target.

    Parameters
    ----------
    threads
        At least 1 and at most the cores of this machine.
    isa
        ``native`` takes what this machine has; ``avx2`` or ``avx512`` force one.

    Raises
    ------
    InputError
        If the machine has fewer cores, or lacks the instruction set.
    """
    info = machine.describe()
    if not 1 <= threads <= info.cores:
        raise InputError(
            "threads", threads, f"1 to {info.cores}, the cores of this machine", min(max(threads, 1), info.cores)
        )
    widest = "avx512" if "avx512f" in info.isa else "avx2"
    if widest == "avx2" and "avx2" not in info.isa:
        raise InputError("isa", isa, "an x86 CPU with at least AVX2")
    if isa == "native":
        mcpu = str(tvm.get_global_func("target.llvm_get_system_cpu")())
        return TargetSpec(mcpu, *_ISAS[widest][1:], threads=threads)
    if isa not in _ISAS or (isa == "avx512" and widest == "avx2"):
        raise InputError("isa", isa, "one of native, avx2, avx512 that this machine has", widest)
    return TargetSpec(*_ISAS[isa], threads=threads)
