"""Which records a flagged session leaves in doubt.

Its A/A control, a reference engine or a disturbed machine casts doubt on all of them. An engine that took another time
among the others than alone is in doubt itself: the ratio of two others does not pass through it (decision 0024).
"""

from __future__ import annotations

from collections.abc import Iterable

from codesign.measure.session import REFERENCES
from codesign.schema import Record

#: How `codesign.measure.ratios.doubts` ends what it says of one engine, and joins what it says.
_ALONE, _JOINED = " against alone", "; "


def doubts_of(record: Record) -> list[str]:
    """Return the reasons why a record is in doubt; empty where it is not."""
    if not record["flagged"]:
        return []
    reasons = (record.get("flag_reason") or "flagged").split(_JOINED)
    return [reason for reason in reasons if _concerns(reason, record)]


def in_doubt(records: Iterable[Record]) -> list[str]:
    """Return the reasons why any of these records is in doubt, each once; empty where none is."""
    return sorted({reason for record in records for reason in doubts_of(record)})


def trusted(records: Iterable[Record]) -> list[Record]:
    """Return the records that are not in doubt."""
    return [record for record in records if not doubts_of(record)]


def _concerns(reason: str, record: Record) -> bool:
    if not reason.endswith(_ALONE):
        return True
    own = f"{record['engine']} {record['scope']} {record['block']}: "
    return reason.startswith((own, *(f"{engine} " for engine in REFERENCES)))
