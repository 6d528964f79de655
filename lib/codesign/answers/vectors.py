"""What wider vectors give each encoder, and whether they change the fastest block shape."""

from __future__ import annotations

import pandas as pd

from codesign.answers.effects import effect, least
from codesign.answers.frames import DENSE, Frames, median_ms, missing, newest, usable, where
from codesign.answers.words import shape_order
from codesign.isa import NATIVE
from codesign.measure.ratios import Interval, ratio
from codesign.schema import Record

NARROW = "avx2"
SIDES = [NATIVE, NARROW]


def sides(vectors: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each of our encoders in the newest session, dense first.

    Parameters
    ----------
    vectors
        Rows of the kind ``vectors``.

    Returns
    -------
    pandas.DataFrame
        By block: the record with the machine's own vectors, and the one with narrow ones (missing where it has none).
    """
    if not len(vectors):
        return pd.DataFrame(columns=SIDES)
    rows = usable(where(vectors, session_id=vectors.iloc[-1]["session_id"]))
    ours = newest(rows[rows["engine"].str.startswith("tvm-")], ["stored_block", "isa"])
    return ours.pivot(index="stored_block", columns="isa", values="record").reindex(
        index=sorted(ours["stored_block"].unique(), key=shape_order), columns=SIDES
    )


def gains(found: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each encoder with both `sides`: ``block``, the ``gain`` of its own vectors, medians in ms."""
    rows = [
        {"block": block, "gain": ratio(side[NARROW], side[NATIVE])} | {isa: median_ms(side[isa]).value for isa in SIDES}
        for block, side in found.dropna().iterrows()
    ]
    return pd.DataFrame(rows, columns=["block", "gain", *SIDES])


def trusted(frames: Frames) -> pd.DataFrame:
    """Return the `sides` at the operating point; a record in doubt decides nothing, so it does not count.

    Raises
    ------
    MissingRecord
        If the dense encoder was not timed on both.
    """
    point = {"model": frames.model, "sparsity": frames.sparsity, "pruner": frames.pruner, **frames.load}
    found = sides(where(frames.all("vectors"), doubt="", **point))
    if DENSE[1] not in found.dropna().index:
        raise missing("vectors", isa=NARROW, **point)
    return found


def dense_gain(frames: Frames) -> Interval:
    """Return how many times faster the dense encoder is with the machine's own vectors than with narrow ones."""
    return gains(trusted(frames))["gain"].iloc[0]


@effect("ratio")
def wider_vectors(frames: Frames) -> Interval:
    """Effect: what wider vectors give the encoder that gains least, dense or in whichever shape."""
    found = trusted(frames)
    lacking = found.index[found[NARROW].isna() & found[NATIVE].notna()]
    if len(lacking):
        raise missing("vectors", isa=NARROW, block=lacking[0])
    return least(gains(found)["gain"])


@effect("ratio")
def same_shape_narrow(frames: Frames) -> Interval:
    """Effect: with narrow vectors, the lead over the closest other shape of the one that wins with wide vectors.

    The one side of the session chooses, the other tells.
    """
    shapes = trusted(frames).drop(DENSE[1])
    wide, narrow = (shapes[isa].dropna() for isa in SIDES)
    best = min(wide.index, key=lambda block: median_ms(wide[block]).value, default=None)
    others: list[Record] = [record for block, record in narrow.items() if block != best]
    if best not in narrow or not others:
        raise missing("vectors", isa=NARROW, block=f"{best}, and another")
    return least(ratio(record, narrow[best]) for record in others)
