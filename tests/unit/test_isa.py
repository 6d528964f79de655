"""From the flags of real CPUs to what LLVM is told, and what may then be in the code."""

import pytest

from codesign import cli, isa, machine
from codesign.compiler import TargetSpec
from codesign.errors import InputError
from codesign.isa import isa_of

#: What Linux says of numerical instructions, for CPUs from 2013 to 2024; other flags do not matter here.
_SSE = "fpu cx8 cmov mmx fxsr sse sse2 syscall nx lm pni pclmulqdq ssse3 cx16 sse4_1 sse4_2 popcnt aes lahf_lm"
HASWELL = f"{_SSE} fma movbe xsave avx f16c rdrand abm fsgsbase bmi1 avx2 bmi2 erms xsaveopt"
SKYLAKE_X = f"{HASWELL} rdseed adx hle rtm avx512f avx512dq clflushopt clwb avx512cd avx512bw avx512vl xsavec"
CASCADE_LAKE = f"{SKYLAKE_X} avx512_vnni pku ospke"
ICE_LAKE = (
    f"{CASCADE_LAKE} avx512ifma sha_ni avx512vbmi avx512_vbmi2 gfni vaes vpclmulqdq avx512_bitalg avx512_vpopcntdq"
)
SAPPHIRE_RAPIDS = f"{ICE_LAKE} avx_vnni avx512_bf16 avx512_fp16 amx_bf16 amx_tile amx_int8 serialize tsxldtrk"
ALDER_LAKE = f"{HASWELL} rdseed adx clflushopt clwb sha_ni gfni vaes vpclmulqdq avx_vnni serialize"
SIERRA_FOREST = f"{ALDER_LAKE} avx_vnni_int8 avx_ne_convert avx_ifma cmpccxadd"
ZEN_1 = f"{HASWELL} sse4a misalignsse 3dnowprefetch rdseed adx clflushopt sha_ni"
ZEN_3 = f"{ZEN_1} clwb pku ospke vaes vpclmulqdq"
ZEN_4 = (
    f"{ZEN_3} avx512f avx512dq avx512ifma avx512cd avx512bw avx512vl avx512_bf16 avx512vbmi avx512_vbmi2 gfni "
    "avx512_vnni avx512_bitalg avx512_vpopcntdq"
)
ZEN_5 = f"{ZEN_4} avx_vnni movdiri movdir64b avx512_vp2intersect"


def without(flags: str, *hidden: str) -> str:
    return " ".join(flag for flag in flags.split() if flag not in hidden)


#: A virtual machine on a Sapphire Rapids that hides AMX, and one that offers AVX-512 and AMX but no VNNI and no BF16.
HIDDEN_AMX = without(SAPPHIRE_RAPIDS, "amx_bf16", "amx_tile", "amx_int8")
HIDDEN_DOTS = without(SAPPHIRE_RAPIDS, "avx_vnni", "avx512_vnni", "avx512_bf16", "avx512_fp16")
#: And one whose list of features was written by hand: AVX2 and FMA, but nothing that came with them.
SPARSE = without(HASWELL, "bmi1", "bmi2", "movbe", "abm", "f16c")
#: AVX-512 without what LLVM takes it to imply.
ODD = without(CASCADE_LAKE, "f16c")

FP32, FP32_512 = ("avx2",), ("avx512f", "avx2")
EXPECTED = {
    "Haswell": (HASWELL, "x86-64-v3", FP32, (), ("avx2",)),
    "Skylake-X": (SKYLAKE_X, "x86-64-v4", FP32_512, (), ("avx512bw", "avx2")),
    "Cascade Lake": (CASCADE_LAKE, "x86-64-v4+avx512vnni", FP32_512, (), ("avx512_vnni", "avx512bw", "avx2")),
    "Sapphire Rapids": (
        SAPPHIRE_RAPIDS,
        "x86-64-v4+avxvnni+avx512vnni+avx512bf16+amx-tile+amx-bf16+amx-int8",
        FP32_512,
        ("amx_bf16", "avx512_bf16"),
        ("amx_int8", "avx512_vnni", "avx_vnni", "avx512bw", "avx2"),
    ),
    "Sierra Forest": (SIERRA_FOREST, "x86-64-v3+avxvnni", FP32, (), ("avx_vnni", "avx2")),
    "Zen 3": (ZEN_3, "x86-64-v3", FP32, (), ("avx2",)),
    "Zen 4": (
        ZEN_4,
        "x86-64-v4+avx512vnni+avx512bf16",
        FP32_512,
        ("avx512_bf16",),
        ("avx512_vnni", "avx512bw", "avx2"),
    ),
    "Zen 5": (
        ZEN_5,
        "x86-64-v4+avxvnni+avx512vnni+avx512bf16",
        FP32_512,
        ("avx512_bf16",),
        ("avx512_vnni", "avx_vnni", "avx512bw", "avx2"),
    ),
    "AMX hidden": (
        HIDDEN_AMX,
        "x86-64-v4+avxvnni+avx512vnni+avx512bf16",
        FP32_512,
        ("avx512_bf16",),
        ("avx512_vnni", "avx_vnni", "avx512bw", "avx2"),
    ),
    "dot products hidden": (
        HIDDEN_DOTS,
        "x86-64-v4+amx-tile+amx-bf16+amx-int8",
        FP32_512,
        ("amx_bf16",),
        ("amx_int8", "avx512bw", "avx2"),
    ),
    "bare AVX2": (SPARSE, "x86-64-v3-bmi2-f16c-movbe-bmi-lzcnt", FP32, (), ("avx2",)),
    "AVX-512 without F16C": (ODD, "x86-64-v3-f16c", FP32, (), ("avx2",)),
}
CPUS = pytest.mark.parametrize("cpu", EXPECTED)


@CPUS
def test_the_flags_of_a_cpu_decide_what_llvm_is_told(cpu: str) -> None:
    flags, told, float32, bfloat16, int8 = EXPECTED[cpu]
    found = isa_of(set(flags.split()))
    assert "".join((found.mcpu, *found.mattr)) == told
    assert found.formats == {"fp32": float32, "bf16": bfloat16, "int8": int8}
    assert (found.lanes, found.registers) == ((16, 32) if float32 == FP32_512 else (8, 16))


@CPUS
def test_llvm_then_uses_nothing_that_the_cpu_lacks(cpu: str) -> None:
    flags = set(EXPECTED[cpu][0].split())
    found = isa_of(flags)
    spec = TargetSpec(found.mcpu, found.lanes, found.registers, 1, found.mattr)
    required = set(spec.requires())
    assert required <= flags
    assert {flag for ways in found.formats.values() for flag in ways} <= required
    assert spec.key == EXPECTED[cpu][1] + "-1t"


@pytest.mark.parametrize("mask", isa.MASKS)
@CPUS
def test_a_mask_leaves_what_it_says(cpu: str, mask: str) -> None:
    found = isa_of(isa.masked(set(EXPECTED[cpu][0].split()), mask))
    assert found.formats["bf16"] == ()
    assert not [attribute for attribute in found.mattr if attribute.startswith("+")]
    assert found.formats["int8"] == (("avx512bw", "avx2") if found.lanes == 16 else ("avx2",))
    assert found.lanes == (isa_of(set(EXPECTED[cpu][0].split())).lanes if mask == "avx512" else 8)


def test_a_cpu_without_avx2_or_fma_is_refused() -> None:
    with pytest.raises(isa.IsaError, match="lacks avx2, fma"):
        isa_of(set(without(HASWELL, "avx2", "fma").split()))
    with pytest.raises(isa.IsaError, match="lacks fma"):
        isa_of(set(without(ZEN_4, "fma").split()))


def test_the_variable_masks_the_machine_and_names_it_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(isa.VARIABLE, raising=False)
    here = machine.describe.__wrapped__()
    monkeypatch.setenv(isa.VARIABLE, "avx2")
    narrow = machine.describe.__wrapped__()
    assert narrow.isa[-1] == "fma"
    assert narrow.cpu == f"{here.cpu}, masked to avx2"
    assert narrow.machine_id != here.machine_id, "what it records is not taken for this machine's"
    monkeypatch.setenv(isa.VARIABLE, "avx3")
    with pytest.raises(isa.IsaError, match="CODESIGN_ISA=avx3: expected one of avx2, avx512"):
        isa.cpu_flags()
    with pytest.raises(InputError, match=r"CODESIGN_ISA='avx3' .*did you mean avx2"):
        machine.describe.__wrapped__()


def test_a_command_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(isa.VARIABLE, "avx3")
    monkeypatch.setattr(machine, "describe", machine.describe.__wrapped__)
    assert cli.main(["doctor"]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "did you mean avx2" in said
