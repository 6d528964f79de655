"""Numbers of pages that no effect of `codesign.answers` gives yet, as text with their unit."""

from __future__ import annotations

from collections.abc import Iterator

from codesign.answers.words import ENGINE_LABELS, TIMES, milliseconds, times
from codesign.study.evidence import Evidence, Source
from codesign.study.ways import distortions, newest
from codesign.study.ways import ratios as way_ratios

Item = tuple[str, str]


def numbers(results: Source) -> dict[str, str]:
    """Return every number as key -> text. Keys read from the general to the particular, joined by dots."""
    return dict(protocols(Evidence(results)))


def protocols(evidence: Evidence) -> Iterator[Item]:
    """Yield what each way of taking turns made of two engines, in the newest comparison."""
    if not (records := newest(evidence.records("protocol"))):
        return
    yield "protocol.other", ENGINE_LABELS[records[1]["engine"]]
    for way, found in way_ratios(records).items():
        yield f"protocol.{way}.ratio", times(found)
    for name, row in zip(("ours", "other"), distortions(records), strict=True):
        yield f"protocol.alone.{name}", milliseconds(row["alone_ms"])
        for way in ("naive", "turns"):
            yield f"protocol.{way}.{name}", f"{row[way]:.2f}{TIMES}"
