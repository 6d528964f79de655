"""Every contender of some sessions as a row of text: times, errors, memory, or why there is no time."""

from __future__ import annotations

from collections.abc import Iterable

from codesign.answers.words import ENGINE_LABELS, three_digits, times
from codesign.measure.ratios import ratio
from codesign.schema import Record
from codesign.study.evidence import DENSE, key_of, median_ms, newest_latencies

BASELINE = ("tvm-dense", *DENSE)


def contenders(records: Iterable[Record]) -> list[dict[str, str]]:
    """Lay out latency records as text; controls are left out.

    Parameters
    ----------
    records
        Of whole sessions, so that a gain can be taken over the dense engine of the same session.

    Returns
    -------
    list[dict[str, str]]
        ``scope`` of the session, ``engine``, ``block`` that it stores, ``format``, ``median``, ``gain`` over our dense
        engine, ``error``, ``memory`` and ``disk``. A dash stands for what is unknown, and for what was not timed the
        reason stands in the place of the time.
    """
    sessions: dict[str, list[Record]] = {}
    for record in records:
        sessions.setdefault(record["session_id"], []).append(record)
    return [
        _row(record, newest_latencies(session).get(BASELINE))
        for session in sessions.values()
        for record in session
        if not record["control"]
    ]


def _row(record: Record, dense: Record | None) -> dict[str, str]:
    timed = record["status"] == "ok"
    return {
        "scope": record["scope"],
        "engine": ENGINE_LABELS[record["engine"]],
        "block": key_of(record)[2],
        "format": record["format"],
        "median": f"{three_digits(median_ms(record).value)} ms" if timed else f"{record['status']}: {record['reason']}",
        "gain": times(ratio(dense, record)) if timed and dense is not None else "-",
        "error": "-" if record["max_abs_err"] is None else f"{record['max_abs_err']:.1e}",
        "memory": _mebibytes(record.get("peak_rss_bytes")),
        "disk": _mebibytes(record.get("disk_bytes")),
    }


def _mebibytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 2**20:,.0f} MiB"
