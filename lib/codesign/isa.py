"""What a CPU can do, from the flags that Linux gives it, and what LLVM may therefore be told.

LLVM itself goes by the model number. A virtual machine may report another model than it runs on, beside the true
flags, so that code for it would lack instructions that are there, or have some that are not.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

#: Environment variable that hides from us what a CPU can do beyond one of `MASKS`. Other engines look for themselves.
VARIABLE = "CODESIGN_ISA"
NATIVE = "native"

#: Flags -> what LLVM calls them, for all that it may use unasked on its generic CPUs with AVX2 and AVX-512.
_V3 = {
    **{name: name for name in ("avx", "avx2", "bmi2", "f16c", "fma", "movbe", "popcnt")},
    **{"bmi1": "bmi", "abm": "lzcnt", "cx16": "cx16", "lahf_lm": "sahf", "xsave": "xsave"},
}
_V4 = {name: name for name in ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")}
#: And for what we ask it to use by name.
_ASKED = {
    **{"avx_vnni": "avxvnni", "avx512_vnni": "avx512vnni", "avx512_bf16": "avx512bf16"},
    **{"amx_tile": "amx-tile", "amx_bf16": "amx-bf16", "amx_int8": "amx-int8"},
}
#: Without these there is no kernel of ours, and without the second group none with AVX-512.
_LEAST, _LEAST_512 = {"avx2", "fma"}, {"f16c", *_V4}

#: Number format -> instruction sets that multiply in it, the fastest first; each with the flags that it takes.
_FORMATS = {
    "fp32": {"avx512f": {*_V4}, "avx2": _LEAST},
    "bf16": {"amx_bf16": {"amx_tile", "amx_bf16"}, "avx512_bf16": {*_V4, "avx512_bf16"}},
    "int8": {
        "amx_int8": {"amx_tile", "amx_int8"},
        "avx512_vnni": {*_V4, "avx512_vnni"},
        "avx_vnni": {"avx_vnni"},
        "avx512bw": {*_V4},
        "avx2": _LEAST,
    },
}

#: Flag in ``/proc/cpuinfo`` -> LLVM's feature.
FEATURES = {**_V3, **_V4, **_ASKED}

#: What is left of a CPU: nothing beyond AVX2; AVX-512 as its first CPUs had it, without BF16, VNNI and AMX.
MASKS = ("avx2", "avx512")
_BEYOND = ("amx", "avx10", "avx512", "avx_ifma", "avx_ne_convert", "avx_vnni")


class IsaError(ValueError):
    """A CPU lacks what our code needs, or is to be masked in a way that does not exist."""


@dataclass(frozen=True)
class Isa:
    """What to compile for.

    Attributes
    ----------
    mcpu
        LLVM's name of the generic CPU.
    mattr
        What that CPU gains (``+``) and lacks (``-``), by LLVM's names.
    lanes, registers
        float32 in a vector register, and how many registers there are.
    formats
        Number format -> the flags of those instruction sets that multiply in it, the fastest first.
    """

    mcpu: str
    mattr: tuple[str, ...]
    lanes: int
    registers: int
    formats: dict[str, tuple[str, ...]]


def isa_of(flags: Set[str]) -> Isa:
    """Say what to compile for.

    Parameters
    ----------
    flags
        As in ``/proc/cpuinfo``.

    Raises
    ------
    IsaError
        Without AVX2 and FMA.
    """
    if lacking := sorted(_LEAST - flags):
        raise IsaError(f"this CPU lacks {', '.join(lacking)}: our code needs an x86 CPU with AVX2 and FMA")
    wide = flags >= _LEAST_512
    lost = [f"-{feature}" for flag, feature in _V3.items() if flag not in flags]
    gained = [f"+{feature}" for flag, feature in _ASKED.items() if flag in flags and (wide or "avx512" not in flag)]
    formats = {
        name: tuple(way for way, needed in ways.items() if flags >= needed and (wide or "avx512" not in way))
        for name, ways in _FORMATS.items()
    }
    name, lanes, registers = ("x86-64-v4", 16, 32) if wide else ("x86-64-v3", 8, 16)
    return Isa(name, (*lost, *gained), lanes, registers, formats)


def masked(flags: Set[str], mask: str) -> set[str]:
    """Leave what a mask leaves of a CPU's flags."""
    if mask not in MASKS:
        raise IsaError(f"{VARIABLE}={mask}: expected one of {', '.join(MASKS)}")
    kept = {*_V4} if mask == "avx512" else set()
    return {flag for flag in flags if not flag.startswith(_BEYOND) or flag in kept}


def mask() -> str | None:
    """Return what `VARIABLE` masks this machine to; None where it is unset."""
    return os.environ.get(VARIABLE) or None


def cpuinfo() -> dict[str, str]:
    """What Linux says of the first CPU; nothing where it does not tell."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}


def cpu_flags() -> set[str]:
    """Flags of this CPU, less what is masked."""
    told = cpuinfo()
    flags = set((told.get("flags") or told.get("Features", "")).split())  # Arm says Features
    return flags if (chosen := mask()) is None else masked(flags, chosen)


def request_amx() -> None:
    """Ask Linux for the tile registers of AMX, which a process has only on request; its threads then all may use them.

    Raises
    ------
    IsaError
        If it refuses: a kernel before 5.16, or a container that filters the call.
    """
    arch_prctl, request, tiles = 158, 0x1023, 18  # ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    if ctypes.CDLL(None).syscall(arch_prctl, request, tiles):
        raise IsaError("Linux refuses the tile registers of AMX to this process")
