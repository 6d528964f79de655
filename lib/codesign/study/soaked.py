"""What the campaigns of `make soak` found, added up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from codesign.schema import Record
from codesign.study.evidence import Evidence

#: Campaign -> what its table is about, for people.
CAMPAIGNS = {
    "kills": "step that was killed",
    "disk": "step that met a full disk",
    "patterns": "schedule family",
    "broken": "schedule family, broken on purpose",
    "inputs": "what was read",
}
COUNTED = ("count", "refused", "lost", "wrong")


def newest_rounds(records: Iterable[Record], campaign: str) -> list[Record]:
    """Return the records of a campaign, each round once: the newest."""
    return list({r["seed"]: r for r in records if r["campaign"] == campaign}.values())


def added_up(records: Iterable[Record], campaign: str) -> dict[str, dict[str, Any]]:
    """Add up a campaign by subject.

    Returns
    -------
    dict[str, dict[str, Any]]
        Subject -> `COUNTED`, ``defects`` (a list of texts) and ``settings`` (numbers, added up).
    """
    found: dict[str, dict[str, Any]] = {}
    for record in newest_rounds(records, campaign):
        for tally in record["tallies"]:
            empty: dict[str, Any] = {**dict.fromkeys(COUNTED, 0), "defects": [], "settings": {}}
            row = found.setdefault(tally["subject"], empty)
            for name in COUNTED:
                row[name] += tally[name]
            row["defects"] += tally["defects"]
            for name, number in tally["settings"].items():
                row["settings"][name] = row["settings"].get(name, 0) + number
    return {subject: row for subject, row in found.items() if row["count"]}


def soak_numbers(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yield the sums of each campaign, and over all campaigns what should be none."""
    records = evidence.read("soak")
    totals = dict.fromkeys(("lost", "wrong", "defects"), 0)
    for campaign in CAMPAIGNS:
        rows = added_up(records, campaign)
        if not rows:
            continue
        for name in COUNTED:
            yield f"soak.{campaign}.{name}", f"{sum(row[name] for row in rows.values()):,}"
        yield f"soak.{campaign}.defects", str(sum(len(row["defects"]) for row in rows.values()))
        seconds = sum(record["seconds"] for record in newest_rounds(records, campaign))
        yield f"soak.{campaign}.minutes", f"{seconds / 60:.0f} min"
        for subject, row in rows.items():
            yield f"soak.{campaign}.{subject.replace(' ', '_')}", f"{row['count']:,}"
            for name, number in row["settings"].items():
                yield f"soak.{campaign}.{subject}.{name}".replace(" ", "_"), f"{number:,}"
        totals["lost"] += sum(row["lost"] for row in rows.values())
        totals["wrong"] += sum(row["wrong"] for row in rows.values())
        totals["defects"] += sum(len(row["defects"]) for row in rows.values())
    if records:
        for name, number in totals.items():
            yield f"soak.{name}", f"{number:,}"
