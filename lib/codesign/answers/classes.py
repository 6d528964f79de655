"""Classes of machines: what the processors have in common that decides which number format and which shape are fast."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from codesign.answers.effects import effect
from codesign.answers.encoders import ranked
from codesign.answers.frames import Frames, where
from codesign.answers.numbers import written_by
from codesign.answers.words import cpu_label, times
from codesign.answers.yardstick import best_dense_engine, over_best, over_best_dense, over_best_fp32
from codesign.measure.ratios import Interval

#: Class -> the flags that a machine needs for it, the most capable class first.
CLASSES = {
    "AMX": {"amx_tile"},
    "AVX-512, bfloat16 at full rate": {"avx512f", "avx512_bf16"},
    "AVX-512, int8 dot products": {"avx512f", "avx512_vnni"},
    "AVX-512": {"avx512f"},
    "AVX2, int8 dot products": {"avx2", "avx_vnni"},
    "AVX2": {"avx2"},
}
#: The class for which the flag is not enough: some processors compute bfloat16 no faster than float32.
FULL_RATE = "AVX-512, bfloat16 at full rate"
#: From this ratio of the measured ceilings of bfloat16 and float32 on, the rate is full: twice as many products.
TWICE = 1.5
OTHER = "other"


def class_of(frames: Frames) -> str:
    """Return the class of a machine: the first of `CLASSES` whose flags it has, and whose rate it was measured at."""
    flags = set(frames.machine["isa"])
    for name, needed in CLASSES.items():
        if flags >= needed and (name != FULL_RATE or _full_rate(frames)):
            return name
    return OTHER


def _full_rate(frames: Frames) -> bool:
    rows = where(frames.all("ceiling"), level="registers", threads=frames.threads)
    rates = rows.dropna(subset="rate").groupby("format")["rate"].max()
    return bool({"fp32", "bf16"} <= set(rates.index) and rates["bf16"] >= TWICE * rates["fp32"])


def newest_of_each(found: Sequence[Frames]) -> dict[str, Frames]:
    """Return class -> the machine of it whose shapes were timed last, in the order of `CLASSES`."""
    timed = [frames for frames in found if frames.shapes("all")]
    rows = pd.DataFrame(
        {
            "class": [class_of(frames) for frames in timed],
            "frames": timed,
            "when": [frames.at("latency")["started_at"].max() for frames in timed],
        }
    )
    newest = rows.sort_values("when").groupby("class")["frames"].last()
    return {name: newest[name] for name in (*CLASSES, OTHER) if name in newest}


def by_class(found: Sequence[Frames], scope: str = "all") -> pd.DataFrame:
    """Return the answer for each class of machines as text: its fastest shape, and what that gains over dense engines.

    Each row is about one machine, the newest of its class; what older code measured says so.
    """
    rows = []
    for name, frames in newest_of_each(found).items():
        block, record = ranked(frames, scope)[0], frames.at("latency").iloc[-1]["record"]
        rows.append(
            {
                "class of machine": name,
                "measured on": f"{cpu_label(frames.machine)}, {record['started_at'][:10]}, {written_by(record)}",
                "fastest shape": f"{block}, float32",
                "over the best dense engine by others": _gain(frames, over_best_dense, "others", scope, block),
                "over the best of all, ours too": _gain(frames, over_best, "all", scope, block),
                "over others in float32 alone": times(over_best_fp32(frames, scope, block)),
            }
        )
    return pd.DataFrame(rows)


def _gain(frames: Frames, over: Callable[..., Interval], whose: str, scope: str, block: str) -> str:
    return f"{times(over(frames, scope, block))}: {best_dense_engine(frames, whose, scope)}"


@effect("text")
def machine_class(frames: Frames) -> str:
    """Effect: the class of this machine."""
    return class_of(frames)
