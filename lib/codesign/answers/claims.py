"""Claims: judgements that the book makes, each an effect with a threshold, in ``book/claims.yaml``.

A verdict follows from an effect and its 95% interval alone: an interval on one side of the threshold decides, one that
straddles it is inconclusive, and so is anything that rests on a time in doubt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from codesign.answers.effects import effect, exactly, parse, value
from codesign.answers.frames import Frames, doubts_of
from codesign.errors import InputError, MissingRecord
from codesign.measure.ratios import Interval
from codesign.study import places

SUPPORTED, NOT_SUPPORTED = "supported", "not supported"
INCONCLUSIVE, NOT_MEASURED = "inconclusive", "not measured here"
VERDICTS = (SUPPORTED, NOT_SUPPORTED, INCONCLUSIVE, NOT_MEASURED)

#: Profile -> the command that re-checks a claim.
CHECKS = {"default": "make reproduce", "full": "make reproduce PROFILE=full"}

#: What a claim is about -> the heading of its group.
TOPICS = {
    "paper": "The paper's",
    "encoder": "Ours, on the whole encoder",
    "peer": "Ours, beside other engines",
    "kernel": "Ours, on single kernels",
    "tuning": "Ours, on tuning",
    "accuracy": "Ours, on accuracy",
}


class Claim(BaseModel):
    """A statement that records can support or not: it holds where ``effect`` is at least ``threshold``.

    ``profile`` is that which measures all it rests on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern="^[a-z0-9-]+$")
    topic: Literal["paper", "encoder", "peer", "kernel", "tuning", "accuracy"]
    statement: str
    effect: str
    threshold: float
    profile: Literal["default", "full"] = "default"

    @property
    def unit(self) -> str:
        """The unit of its effect."""
        return parse(self.effect)[0].unit

    @property
    def command(self) -> str:
        """What re-checks it."""
        return CHECKS[self.profile]

    @property
    def minutes(self) -> int:
        """How long that takes on two cores."""
        return _minutes(self.profile)


@cache
def _minutes(profile: str) -> int:
    """Read what a profile takes; `codesign.study.profile_file` would, with torch, which verdicts need not wait for."""
    content = yaml.safe_load((places.PROFILES / f"{profile}.yaml").read_text(encoding="utf-8"))
    return round(sum(content["budget_minutes"].values()))


@dataclass(frozen=True)
class Verdict:
    """What records say about one claim; ``effect`` is None where nothing was measured, and ``note`` says why."""

    claim: Claim
    verdict: str
    effect: Interval | None
    note: str = ""

    @property
    def id(self) -> str:
        """That of the claim."""
        return self.claim.id

    @property
    def text(self) -> str:
        """Return the effect as text in its unit; a dash where nothing was measured."""
        return "-" if self.effect is None else parse(self.claim.effect)[0].text(self.effect)


@cache
def claims() -> dict[str, Claim]:
    """Read the claims of the book, by id.

    Raises
    ------
    InputError
        If the effect of a claim is none, or no number.
    """
    found = yaml.safe_load((places.BOOK / "claims.yaml").read_text(encoding="utf-8"))
    read = {claim.id: claim for claim in map(Claim.model_validate, found)}
    for claim in read.values():
        where = f"effect of claim {claim.id} in book/claims.yaml"
        try:
            unit = claim.unit
        except InputError as error:
            raise InputError(where, claim.effect, error.expected, error.nearest) from None
        if unit == "text":
            raise InputError(where, claim.effect, "an effect that is a number")
    return read


def decide(effect: Interval, threshold: float) -> str:
    """Return the verdict that an interval gives on "at least ``threshold``"."""
    if effect.low >= threshold:
        return SUPPORTED
    return NOT_SUPPORTED if effect.high < threshold else INCONCLUSIVE


def judge(claim: Claim, frames: Frames) -> Verdict:
    """Return the verdict on one claim; one whose effect compares a time in doubt is inconclusive."""
    frames.compared.clear()
    try:
        found = value(frames, claim.effect)
    except MissingRecord as error:
        return Verdict(claim, NOT_MEASURED, None, str(error))
    seen = found if isinstance(found, Interval) else exactly(float(found))  # type: ignore[arg-type]
    if reasons := sorted({reason for record in frames.compared for reason in doubts_of(record)}):
        return Verdict(claim, INCONCLUSIVE, seen, "; ".join(reasons))
    return Verdict(claim, decide(seen, claim.threshold), seen)


@cache
def verdicts(frames: Frames) -> dict[str, Verdict]:
    """Return the verdict on every claim, by id, in the order of the file."""
    return {id: judge(claim, frames) for id, claim in claims().items()}


def counts(judged: Iterable[Verdict]) -> dict[str, int]:
    """Return how many claims have each of `VERDICTS`."""
    found = Counter(verdict.verdict for verdict in judged)
    return {word: found[word] for word in VERDICTS}


@effect("text")
def claim(frames: Frames, id: str, what: str) -> str:
    """Effect: the ``verdict`` on a claim, or its ``effect`` as text."""
    if id not in claims():
        raise InputError("claim", id, f"one of {', '.join(claims())}")
    found = verdicts(frames)[id]
    if what == "verdict":
        return found.verdict
    if found.effect is None:
        raise MissingRecord("effect", {"claim": id}, found.claim.command)
    return found.text


@effect("count")
def claims_judged(frames: Frames, verdict: str = "") -> int:
    """Effect: how many claims have a verdict, or how many there are."""
    found = counts(verdicts(frames).values())
    return found[verdict.replace("-", " ")] if verdict else sum(found.values())
