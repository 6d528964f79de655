"""Effects: encoders built in several ways and timed in one session, in other layouts or for narrower vectors."""

from __future__ import annotations

from functools import cache

import pandas as pd

from codesign.answers.effects import closeness, effect, least
from codesign.answers.frames import DENSE, Frames, fastest, median_ms, missing, newest, usable, where
from codesign.answers.tasks import tasks_of
from codesign.answers.words import shape_order, times
from codesign.blocks import BlockShape
from codesign.engines import FORMATS, LAYOUTS, STRIPS, TOKEN_MAJOR, WHOLE
from codesign.isa import NATIVE
from codesign.measure.ratios import Interval, ratio

NARROW = "avx2"
#: Column that tells the ways of a session apart -> the ways, in order.
WAYS = {"layout": list(LAYOUTS), "isa": [NARROW, NATIVE], "format": list(FORMATS)}
#: Way -> the one that it is compared with.
OVER = {STRIPS: WHOLE, TOKEN_MAJOR: STRIPS, NATIVE: NARROW, "int8": "fp32"}
#: Our engines -> the layout that they stand for.
_LAYOUT_OF = {engine: layout for layout, engines in LAYOUTS.items() for engine in engines}
_LAYOUT_OF |= {engine: STRIPS for engines in FORMATS.values() for engine in engines}


def sides(timed: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return our encoders in the newest session: a row a block shape, dense first, a column a way; a record each.

    Parameters
    ----------
    timed
        Of the kind ``layouts``, ``vectors`` or ``formats``.
    column
        What tells the ways apart: ``"layout"``, ``"isa"`` or ``"format"``.
    """
    if not len(timed):
        return pd.DataFrame(columns=WAYS[column])
    rows = usable(where(timed, session_id=timed["session_id"].iloc[-1]))
    rows = rows.assign(layout=rows["engine"].map(_LAYOUT_OF)).dropna(subset="layout")
    found = newest(rows, ["stored_block", column]).pivot(index="stored_block", columns=column, values="record")
    return found.reindex(index=sorted(found.index, key=shape_order), columns=WAYS[column])


def compared(sides: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each encoder and way of `sides`: ``block``, ``way``, ``ms``, and its ``gain`` over `OVER`.

    The gain is missing where the encoder was not built in the other way.
    """
    rows = []
    for block, side in sides.iterrows():
        timed = side.dropna()
        for way, record in timed.items():
            gain = ratio(timed[OVER[way]], record) if OVER.get(way) in timed else None
            rows.append({"block": block, "way": way, "ms": median_ms(record).value, "gain": gain})
    return pd.DataFrame(rows, columns=["block", "way", "ms", "gain"])


def of_point(frames: Frames, kind: str) -> pd.DataFrame:
    """Return the `sides` of the newest session at the operating point that is not in doubt, else of one that is.

    Raises
    ------
    MissingRecord
        If there is none.
    """
    found = _of_point(frames, kind)
    frames.compared.extend(found.stack().dropna())  # one in doubt decides no claim
    return found


@cache
def _of_point(frames: Frames, kind: str) -> pd.DataFrame:
    point = {"model": frames.model, "sparsity": frames.sparsity, "pruner": frames.pruner, **frames.load}
    timed = where(frames.all(kind), **point)
    sure = timed[timed["doubt"] == ""] if len(timed) else timed
    found = sides(sure if len(sure) else timed, {"layouts": "layout", "vectors": "isa", "formats": "format"}[kind])
    if not len(found):
        raise missing(kind, **point)
    return found


# Narrower vectors.


def dense_gain(frames: Frames) -> Interval:
    """Return how many times faster the dense encoder is with the machine's own vectors than with narrow ones.

    Raises
    ------
    MissingRecord
        If it was not timed with both.
    """
    dense = of_point(frames, "vectors").reindex([DENSE[1]])
    if dense.isna().any(axis=None):
        raise missing("vectors", isa=NARROW, block=DENSE[1])
    return ratio(*dense.iloc[0])


@effect("ratio")
def wider_vectors(frames: Frames) -> Interval:
    """Effect: what wider vectors give the encoder that gains least, dense or in whichever shape."""
    dense_gain(frames)
    found = of_point(frames, "vectors").dropna(subset=NATIVE)
    for block in found.index[found[NARROW].isna()]:
        raise missing("vectors", isa=NARROW, block=block)
    return least(map(ratio, found[NARROW], found[NATIVE]))


@effect("ratio")
def same_shape_narrow(frames: Frames) -> Interval:
    """Effect: with narrow vectors, the lead over the closest other shape of the one that wins with wide vectors.

    The one side of the session chooses, the other tells.
    """
    shapes = of_point(frames, "vectors").drop(DENSE[1], errors="ignore")
    narrow, wide = (shapes[isa].dropna() for isa in WAYS["isa"])
    best = fastest(wide)["block"] if len(wide) else None
    if best not in narrow or len(narrow) < 2:
        raise missing("vectors", isa=NARROW, block=f"{best}, and another")
    return least(ratio(record, narrow[best]) for record in narrow.drop(best))


# Other number formats.


@effect("ratio")
def int8_over_fp32(frames: Frames, block: str) -> Interval:
    """Effect: how many times faster a shape is in int8 than the fastest of our shapes in float32."""
    found = of_point(frames, "formats").drop(DENSE[1], errors="ignore")
    if block not in found["int8"].dropna() or not found["fp32"].notna().any():
        raise missing("formats", engine=FORMATS["int8"][1], block=block)
    return ratio(fastest(found["fp32"].dropna()), found.loc[block, "int8"])


@effect("ratio")
def int8_over_others(frames: Frames) -> Interval:
    """Effect: how many times faster our fastest shape in int8 is than the fastest int8 engine by others, dense."""
    ours = of_point(frames, "formats")["int8"].drop(DENSE[1], errors="ignore").dropna()
    if not len(ours):
        raise missing("formats", engine=FORMATS["int8"][1])
    session = usable(where(frames.all("formats"), session_id=ours.iloc[0]["session_id"], format="int8"))
    others = session.loc[~session["engine"].isin(FORMATS["int8"]), "record"]
    if not len(others):
        raise missing("formats", format="int8", block=DENSE[1])
    frames.compared.extend(others)
    return ratio(fastest(others), fastest(ours))


# Other layouts.


def recorded_ms(frames: Frames, sides: pd.DataFrame, scope: str) -> pd.DataFrame:
    """Return what tuning records add up to for `sides`: the best time of each task times its calls, in milliseconds.

    Changes of layout are tasks like any other, so they are counted. Missing where a task has no time.
    """
    tasks = tasks_of(frames)
    tasks = tasks[tasks["stored_scope"].isin((scope, DENSE[0]))]
    tasks = tasks.assign(layout=tasks["engine"].map(_LAYOUT_OF), ns=tasks["weight"] * tasks["best_ns"])
    encoders = tasks.groupby(["stored_block", "layout"])["ns"]
    found = encoders.sum().where(encoders.count() == encoders.size()) / 1e6
    return found.unstack().reindex(index=sides.index, columns=sides.columns).where(sides.notna())


def picked(recorded: pd.DataFrame) -> pd.Series:
    """Return the layout whose tuning records add up to least, for the encoders that have several."""
    return recorded[recorded.count(axis=1) > 1].idxmin(axis=1)


@effect("ratio")
def strips_gain(frames: Frames) -> Interval:
    """Effect: what strips give the pruned encoder that gains least."""
    found = _pruned(frames).dropna(subset=[WHOLE, STRIPS])
    if not len(found):
        raise missing("layouts", engine=LAYOUTS[WHOLE][1])
    return least(map(ratio, found[WHOLE], found[STRIPS]))


@effect("ratio")
def tall_as_low(frames: Frames) -> Interval:
    """Effect: time of 4x1 over that of the tallest shape in strips, or its inverse if that is smaller."""
    found = _pruned(frames)
    tall = found.dropna(subset=WHOLE).index
    if not len(tall) or "4x1" not in found.index:
        raise missing("layouts", engine=LAYOUTS[STRIPS][1], block="4x1")
    tallest = max(tall, key=lambda block: (BlockShape.parse(block).rows, -BlockShape.parse(block).cols))
    return closeness(ratio(found.loc["4x1", STRIPS], found.loc[tallest, STRIPS]))


@effect("ratio")
def feature_major_lead(frames: Frames) -> Interval:
    """Effect: how many times faster the fastest feature-major encoder is than the fastest token-major one."""
    found = _pruned(frames)
    token_major, others = found[TOKEN_MAJOR].dropna(), found[[WHOLE, STRIPS]].stack().dropna()
    if not len(token_major) or not len(others):
        raise missing("layouts", engine=LAYOUTS[TOKEN_MAJOR][1])
    return ratio(fastest(token_major), fastest(others))


@effect("ratio")
def layout_picked(frames: Frames) -> Interval:
    """Effect: how many times faster the layout that tuning records choose is than the best other, where it is least."""
    found = of_point(frames, "layouts")
    choice = picked(recorded_ms(frames, found, "all"))
    if not len(choice):
        raise missing("task", engine=LAYOUTS[WHOLE][1])
    return least(
        ratio(fastest(found.loc[block].dropna().drop(layout)), found.loc[block, layout])
        for block, layout in choice.items()
    )


def _pruned(frames: Frames) -> pd.DataFrame:
    return of_point(frames, "layouts").drop(index=DENSE[1], errors="ignore")


def choices(frames: Frames, sides: pd.DataFrame, scope: str) -> pd.DataFrame:
    """Return measured times beside those of the kernels as text, for the encoders that have several layouts.

    Returns
    -------
    pandas.DataFrame
        A row an encoder: ``block``; by layout the milliseconds, those that tuning records add up to in brackets;
        ``gain strips`` over whole blocks and ``gain token-major`` over strips; and ``picked``, the layout whose records
        add up to least.
    """
    several = sides[sides.count(axis=1) > 1]
    recorded, rows = recorded_ms(frames, several, scope), compared(several)
    sums = [recorded.loc[block, way] for block, way in zip(rows["block"], rows["way"], strict=True)]
    rows["ms"] = [f"{ms:.1f} ({known:.1f})" for ms, known in zip(rows["ms"], sums, strict=True)]
    gains = rows.assign(way="gain " + rows["way"], ms=rows["gain"].map(times, na_action="ignore"))
    cells = pd.concat([rows, gains]).pivot(index="block", columns="way", values="ms")
    cells = cells.reindex(index=several.index, columns=[*LAYOUTS, *(f"gain {way}" for way in LAYOUTS if way in OVER)])
    return cells.assign(picked=picked(recorded)).fillna("").rename_axis("block").reset_index()
