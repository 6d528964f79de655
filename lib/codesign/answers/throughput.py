"""Sequences a second of every engine, by how it is run."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

import pandas as pd

from codesign.answers.frames import CONTENDER, newest, usable, where
from codesign.answers.words import ENGINE_LABELS, three_digits

#: A contender, and how it is run.
_ROW = [*CONTENDER, "processes", "threads", "batch"]


def throughputs(latencies: pd.DataFrame, crowds: pd.DataFrame, centre: Mapping[str, Any]) -> pd.DataFrame:
    """Return the sequences a second of every contender, one process with all threads beside a process a core.

    Parameters
    ----------
    latencies
        Of any loads: one process, whose batch may be anything.
    crowds
        Frame of `throughput` records.
    centre
        The point fields that all have, but for batch, threads and block.

    Returns
    -------
    pandas.DataFrame
        A row for each contender, ``engine`` and ``block`` in words, and a column of texts for each way to run it, such
        as ``"2 processes, batch 1"``. Ways that only few engines have are empty for the others.
    """
    fixed = {name: centre[name] for name in ("model", "seq", "scope", "sparsity", "pruner", "seed")}
    alone = usable(latencies)
    alone = where(alone, **fixed, threads=centre["threads"]).assign(processes=1)
    alone["rate"] = [batch / statistics.median(r["samples_ns"]) * 1e9 for batch, r in _pairs(alone)]
    crowds = where(crowds, **fixed, status="ok").copy()
    crowds["rate"] = [statistics.median(record["sequences_per_s"]) for record in crowds["record"]]
    rows = newest(pd.concat([alone, crowds]), _ROW).sort_values(["processes", "batch"], kind="stable")
    rows["way"] = [_way(*each) for each in zip(rows["processes"], rows["batch"], strict=True)]
    table = rows.pivot_table(index=CONTENDER, columns="way", values="rate", sort=False)
    table = table.sort_values(table.columns[0], ascending=False) if len(table.columns) else table
    found = table.map(three_digits, na_action="ignore").fillna("").reset_index()
    found["engine"] = found["engine"].map(lambda name: ENGINE_LABELS[name])
    return found.rename(columns={"stored_block": "block"}).drop(columns="stored_scope")


def _pairs(rows: pd.DataFrame) -> zip[tuple[int, Any]]:
    return zip(rows["batch"], rows["record"], strict=True)


def _way(processes: int, batch: int) -> str:
    return f"{processes} process{'es' if processes > 1 else ''}, batch {batch}"
