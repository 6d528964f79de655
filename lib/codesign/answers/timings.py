"""Every timing as a row: median, interval, gain over our dense engine, and what keeps it from counting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from codesign.answers.frames import OUR_DENSE, median_ms, usable, where
from codesign.answers.words import ENGINE_LABELS, error, milliseconds, three_digits, times
from codesign.engines import ENGINES
from codesign.isa import NATIVE
from codesign.measure.ratios import ratio

#: Percentiles beyond which calls are called slow.
TAILS = {"p95": 0.95, "p99": 0.99}


def timings(latencies: pd.DataFrame) -> pd.DataFrame:
    """Return latency rows of whole sessions with what is shown of them.

    Parameters
    ----------
    latencies
        From `codesign.answers.frames.frame`.

    Returns
    -------
    pandas.DataFrame
        The rows, and: ``label`` of the engine; ``computes_in``, its format; ``median_ms``, ``low_ms``, ``high_ms`` and
        ``gain`` over our dense engine of the session, as numbers (missing where there is no time); the texts
        ``median``, ``p95`` and ``p99``, ``interval``, ``over_dense``, ``largest_error``, ``memory`` and ``disk``; and
        ``remark``, why a row does not count.
    """
    if not len(latencies):
        return latencies
    dense = where(usable(latencies), engine=OUR_DENSE).groupby("session_id")["record"].last()
    cells = [_cells(row, dense.get(row["session_id"])) for row in latencies.to_dict("records")]
    return latencies.assign(**pd.DataFrame(cells, index=latencies.index))


def _cells(row: dict[str, Any], dense: Any) -> dict[str, Any]:
    """Return what is shown of a row; ``dense`` is the record of our dense engine, None where there is none."""
    record, nothing = row["record"], float("nan")
    isa = "" if row["isa"] == NATIVE else f", {row['isa']}"
    cells: dict[str, Any] = {
        "label": ENGINE_LABELS[row["engine"]] + isa,
        "computes_in": ENGINES[row["engine"]].format if row["engine"] in ENGINES else row["format"],
        **{"median_ms": nothing, "low_ms": nothing, "high_ms": nothing, "gain": nothing},
        **dict.fromkeys(("interval", "over_dense", *TAILS), "-"),
        "largest_error": "-" if record["max_abs_err"] is None else error(record["max_abs_err"]),
        "memory": _mebibytes(record["peak_rss_bytes"]),
        "disk": _mebibytes(record["disk_bytes"]),
    }
    if row["status"] != "ok":
        reason = f"{row['status']}: {row['reason']}"
        return cells | {"median": reason, "largest_error": "-", "remark": reason}
    time = median_ms(record)
    cells |= {"median_ms": time.value, "low_ms": time.low, "high_ms": time.high, "median": milliseconds(time.value)}
    cells |= {name: _tail(record["samples_ns"], share) for name, share in TAILS.items()}
    cells["interval"] = f"{three_digits(time.low)} to {three_digits(time.high)}"
    if dense is not None and dense is not record:
        gain = ratio(dense, record)
        cells |= {"gain": gain.value, "over_dense": times(gain)}
    control = f"{record['control']} control" if record["control"] else ""
    return cells | {"remark": f"flagged: {row['doubt']}" if row["doubt"] else control}


def _tail(samples_ns: list[float], share: float) -> str:
    """Return a percentile in milliseconds; nothing where no sample lies beyond it but the largest."""
    return milliseconds(float(np.quantile(samples_ns, share)) / 1e6) if len(samples_ns) * (1 - share) >= 1 else "-"


def _mebibytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 2**20:,.0f} MiB"
