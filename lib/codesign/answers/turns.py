"""How far each way of taking turns is from the truth: what `protocol` records say."""

from __future__ import annotations

import pandas as pd

from codesign.answers.effects import effect
from codesign.answers.frames import Frames, median_ms, missing, where
from codesign.answers.words import ENGINE_LABELS, TIMES, milliseconds

#: The two engines of a comparison, in order.
PAIR = ("ours", "other")


def distortions(timed: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one comparison, engine by engine, with ``label``, ``ms`` and ``of_alone``.

    That is the median in units of the same engine's time ``alone``, which is the truth.
    """
    if not len(timed):
        return timed
    rows = timed.assign(
        place=timed.groupby("way").cumcount(),
        label=timed["engine"].map(ENGINE_LABELS.__getitem__),
        ms=[median_ms(record).value for record in timed["record"]],
    )
    alone = where(rows, way="alone").set_index("place")["ms"]
    rows["of_alone"] = rows["ms"] / rows["place"].map(alone)
    return rows.sort_values("place", kind="stable")


@effect("text")
def protocol(frames: Frames, way: str, whose: str) -> str:
    """Effect: the median time alone of ``ours`` or the ``other`` engine, or how many times that in another way."""
    rows = where(_newest(frames), way=way, place=PAIR.index(whose))
    row = rows.iloc[0]
    return milliseconds(row["ms"]) if way == "alone" else f"{row['of_alone']:.2f}{TIMES}"


@effect("text")
def protocol_rival(frames: Frames) -> str:
    """Effect: the engine that ours was timed beside."""
    return str(_newest(frames)["label"].iloc[-1])


def _newest(frames: Frames) -> pd.DataFrame:
    """Return the newest comparison."""
    if not len(timed := frames.all("protocol")):
        raise missing("protocol")
    return distortions(where(timed, session_id=timed["session_id"].iloc[-1]))
