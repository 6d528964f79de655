"""Numbers of pages that no effect of `codesign.answers` gives yet, as text with their unit."""

from __future__ import annotations

from collections.abc import Iterator

from codesign.answers.words import ENGINE_LABELS, TIMES, milliseconds, times
from codesign.study.accuracy_claims import accuracy_numbers
from codesign.study.evidence import Evidence, Source
from codesign.study.searched import searched_numbers
from codesign.study.soaked import soak_numbers
from codesign.study.tradeoff import tradeoff_numbers
from codesign.study.ways import distortions, newest
from codesign.study.ways import ratios as way_ratios

Item = tuple[str, str]


def numbers(results: Source) -> dict[str, str]:
    """Return every number as key -> text. Keys read from the general to the particular, joined by dots."""
    evidence = Evidence(results)
    parts = (patterns, tasks, protocols, searched_numbers, accuracy_numbers, tradeoff_numbers, soak_numbers)
    return {key: text for part in parts for key, text in part(evidence)}


def patterns(evidence: Evidence) -> Iterator[Item]:
    """Yield what pruning left of the weights."""
    for (_, scope, block), record in evidence.newest("pattern").items():
        yield f"pattern.{scope}.{block}.retained_l2", f"{record['retained_l2']:.0%}"


def tasks(evidence: Evidence) -> Iterator[Item]:
    """Yield how many sparse tuning tasks each compiled model has, and how often they are used."""
    for engine, scope, block in evidence.newest("task"):
        found = [task for task in evidence.tasks(engine, scope, block) if task["family_kind"] == "bsr"]
        yield f"tasks.{engine}.{scope}.{block}.sparse", str(len(found))
        yield f"tasks.{engine}.{scope}.{block}.uses", str(sum(task["weight"] for task in found))


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
