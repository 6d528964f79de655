"""Judgements that the book makes, as predicates over records: each has an id, a threshold and a verdict.

A verdict follows from an effect and its 95% interval alone: an interval on one side of the threshold decides, one that
straddles it is inconclusive, and so is anything that rests on a record in doubt (`codesign.study.doubts`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from codesign.answers import claims as moved
from codesign.answers import effects
from codesign.answers.frames import Frames
from codesign.errors import MissingRecord
from codesign.measure.ratios import Interval
from codesign.study.accuracy_claims import ACCURACY_CLAIMS
from codesign.study.doubts import in_doubt
from codesign.study.evidence import Evidence, Key
from codesign.study.layout_views import LAYOUT_CLAIMS
from codesign.study.ledger_claims import LEDGER_CLAIMS
from codesign.study.peer_claims import PEER_CLAIMS
from codesign.study.searched import SEARCH_CLAIMS
from codesign.study.shape_claims import SHAPE_CLAIMS
from codesign.study.task_claims import SHARES, TASK_CLAIMS

SUPPORTED, NOT_SUPPORTED = "supported", "not supported"
INCONCLUSIVE, NOT_MEASURED = "inconclusive", "not measured here"
VERDICTS = (SUPPORTED, NOT_SUPPORTED, INCONCLUSIVE, NOT_MEASURED)

HIDDEN = 768  # BERT-base, which every claim here is about
SHAPE = "32x1"
VERIFY, FULL = ("make verify", 20), ("make reproduce", 80)

Effect = Callable[[Evidence], Interval]


@dataclass(frozen=True)
class Claim:
    """A statement that records can support or not.

    Parameters
    ----------
    id, statement
        How pages refer to it, and what it says.
    effect
        Computes what the claim is about; raises `MissingRecord` where nothing was measured.
    threshold
        The claim holds where the effect is at least this.
    unit
        What the effect is: "ratio", "share", or a word for what is counted.
    command, minutes
        What re-checks it, and how long that takes on two cores.
    """

    id: str
    statement: str
    effect: Effect
    threshold: float
    unit: str = "ratio"
    command: str = FULL[0]
    minutes: int = FULL[1]


@dataclass(frozen=True)
class Verdict:
    """What the records say about one claim; ``effect`` is None where nothing was measured, and ``note`` says why."""

    claim: Claim
    verdict: str
    effect: Interval | None
    note: str = ""

    @property
    def id(self) -> str:
        return self.claim.id

    @property
    def unit(self) -> str:
        return self.claim.unit


def decide(effect: Interval, threshold: float) -> str:
    """Return the verdict that an interval gives on "at least ``threshold``"."""
    if effect.low >= threshold:
        return SUPPORTED
    return NOT_SUPPORTED if effect.high < threshold else INCONCLUSIVE


def judge(claim: Claim, evidence: Evidence) -> Verdict:
    """Return the verdict on one claim; one whose effect compares a time in doubt is inconclusive."""
    evidence.compared.clear()
    try:
        effect = claim.effect(evidence)
    except MissingRecord as error:
        return Verdict(claim, NOT_MEASURED, None, str(error))
    if reasons := in_doubt(evidence.compared):
        return Verdict(claim, INCONCLUSIVE, effect, "; ".join(reasons))
    return Verdict(claim, decide(effect, claim.threshold), effect)


def evaluate(evidence: Evidence) -> list[Verdict]:
    """Return the verdict on every claim, in the order of the registry."""
    return [judge(claim, evidence) for claim in CLAIMS]


# What follows from arithmetic: multiply-accumulates of one BERT layer, per token.


def attention_share(seq: int, hidden: int = HIDDEN) -> float:
    """Share of an encoder's multiply-accumulates that the attention linears (Q, K, V, output) do."""
    attention, ffn, products = 4 * hidden**2, 8 * hidden**2, 2 * seq * hidden
    return attention / (attention + ffn + products)


def amdahl_bound(sparsity: float, seq: int) -> float:
    """Largest speed-up from skipping ``sparsity`` of the attention linears, everything else unchanged."""
    return 1 / (1 - sparsity * attention_share(seq))


# Effects.


def speedup(baseline: str, scope: str, block: str = SHAPE) -> Effect:
    """Effect: how many times our sparse engine is faster than a dense one."""
    return lambda evidence: evidence.speedup((baseline, "none", "dense"), ("tvm-bsr", scope, block))


def lead_over_other_shapes(scope: str, block: str = SHAPE) -> Effect:
    """Effect: time of the closest other shape over that of ``block``; above one where ``block`` beats them all."""

    def effect(evidence: Evidence) -> Interval:
        mine: Key = ("tvm-bsr", scope, block)
        evidence.latency(mine)
        others = [("tvm-bsr", scope, other) for other in evidence.shapes(scope) if other != block]
        if not others:
            raise MissingRecord("latency", {"scope": scope, "block": f"not {block}"}, "notebook 04_latency")
        leads = [evidence.speedup(other, mine) for other in others]
        return Interval(*(min(getattr(lead, end) for lead in leads) for end in ("value", "low", "high")))

    return effect


def share_of_bound(evidence: Evidence) -> Interval:
    """Effect: time that pruning saved, as a share of what Amdahl's law allows for the attention scope."""
    possible = 1 - 1 / amdahl_bound(evidence.sparsity, evidence.seq)
    gain = speedup("tvm-dense", "attention")(evidence)
    return Interval(*((1 - 1 / ratio) / possible for ratio in (gain.value, gain.low, gain.high)))


def uses_per_task(evidence: Evidence) -> Interval:
    """Effect: uses of a sparse task in one inference, averaged over tasks, for the shape where it is least."""
    counts = list(_sparse_task_uses(evidence))
    if not counts:
        raise MissingRecord("task", {"engine": "tvm-bsr", "scope": "attention"}, "notebook 03_tune")
    return Interval(min(counts), min(counts), min(counts))


def _sparse_task_uses(evidence: Evidence) -> Iterator[float]:
    for engine, scope, block in evidence.newest("task"):
        weights = [t["weight"] for t in evidence.tasks(engine, scope, block) if t["family_kind"] == "bsr"]
        if (engine, scope) == ("tvm-bsr", "attention") and weights:
            yield sum(weights) / len(weights)


def _speed_claim(id: str, statement: str, baseline: str, scope: str, threshold: float, check: tuple[str, int]) -> Claim:
    return Claim(id, statement, speedup(baseline, scope), threshold, "ratio", *check)


ATTENTION = f"80% of the attention weights pruned in {SHAPE} blocks"
ALL = f"80% of all encoder weights pruned in {SHAPE} blocks"

#: Claims whose effects are over frames already.
MOVED = [claim for claim in moved.claims().values() if claim.topic == "kernel"]


def _over_frames(key: str) -> Effect:
    def effect(evidence: Evidence) -> Interval:
        point = {name: getattr(evidence, name) for name in ("sparsity", "batch", "seq", "threads", "isa")}
        found = effects.value(Frames(evidence.results, **point), key)  # type: ignore[arg-type]
        assert isinstance(found, Interval)
        return found

    return effect


CLAIMS: tuple[Claim, ...] = (
    _speed_claim("paper-1a", f"BSR in TVM is at least 4 times as fast as PyTorch eager, {ATTENTION}.",
                 "torch-eager", "attention", 4.0, VERIFY),
    _speed_claim("paper-1a-all", f"BSR in TVM is at least 4 times as fast as PyTorch eager, {ALL}.",
                 "torch-eager", "all", 4.0, FULL),
    _speed_claim("paper-1b", f"BSR in TVM is at least 2.2 times as fast as stock TVM after tuning, {ATTENTION}.",
                 "tvm-stock-tuned", "attention", 2.2, VERIFY),
    _speed_claim("paper-1b-untuned", f"BSR in TVM is at least 2.2 times as fast as stock TVM untuned, {ATTENTION}.",
                 "tvm-stock-default", "attention", 2.2, VERIFY),
    _speed_claim("credit-dense", f"Sparsity itself makes our compiler faster than its own dense engine, {ATTENTION}.",
                 "tvm-dense", "attention", 1.0, VERIFY),
    _speed_claim("credit-dense-all", f"Sparsity itself makes our compiler faster than its own dense engine, {ALL}.",
                 "tvm-dense", "all", 1.0, FULL),
    Claim("paper-2", f"{SHAPE} is the fastest of the measured block shapes, attention weights pruned.",
          lead_over_other_shapes("attention"), 1.0, "ratio", *VERIFY),
    Claim("paper-2-all", f"{SHAPE} is the fastest of the measured block shapes, all encoder weights pruned.",
          lead_over_other_shapes("all"), 1.0, "ratio", *FULL),
    Claim("amdahl", f"At least 80% of the time that Amdahl's law lets us save is saved, {ATTENTION}.",
          share_of_bound, 0.8, "share", *VERIFY),
    Claim("paper-3", "Uniform pruning leaves few distinct sparse tasks: each is used at least 6 times on average, for "
          "every measured block shape (attention weights).", uses_per_task, 6.0, "uses per task", *VERIFY),
    *(Claim(id, statement, effect, threshold, "ratio", *FULL)
      for id, statement, effect, threshold in PEER_CLAIMS),
    *(Claim(c.id, c.statement, _over_frames(c.effect), c.threshold,
            "share" if c.id.startswith("kernel-") else "ratio", *FULL)
      for c in MOVED),
    *(Claim(id, statement, effect(scope), threshold, "ratio", *FULL)
      for id, statement, effect, scope, threshold in SHAPE_CLAIMS),
    *(Claim(id, statement, effect, threshold, unit, *FULL)
      for id, statement, effect, threshold, unit in (*LEDGER_CLAIMS, *LAYOUT_CLAIMS)),
    *(Claim(id, statement, effect, threshold, unit, *FULL)
      for id, statement, effect, threshold, unit in SEARCH_CLAIMS),
    *(Claim(id, statement, effect, threshold, "share" if effect in SHARES else "ratio", *FULL)
      for id, statement, effect, threshold in TASK_CLAIMS),
    *(Claim(id, statement, effect, threshold, unit, *FULL)
      for id, statement, effect, threshold, unit in ACCURACY_CLAIMS),
)  # fmt: skip

#: What a claim is about -> the heading of its group.
TOPICS = {
    "paper": "The paper's",
    "encoder": "Ours, on the whole encoder",
    "peer": "Ours, beside other engines",
    "kernel": "Ours, on single kernels",
    "tuning": "Ours, on tuning",
    "accuracy": "Ours, on accuracy",
}


def topic(claim: Claim) -> str:
    """Return the group of a claim, a key of `TOPICS`."""
    if claim.id.startswith("paper-"):
        return "paper"
    of_their_own = {
        "kernel": [(c.id,) for c in MOVED],
        "peer": PEER_CLAIMS,
        "tuning": (*TASK_CLAIMS, *SEARCH_CLAIMS),
        "accuracy": ACCURACY_CLAIMS,
    }
    found = (name for name, claims in of_their_own.items() if claim.id in {id for id, *_ in claims})
    return next(found, "encoder")


def counts(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """Return how many claims have each of `VERDICTS`."""
    found = Counter(verdict.verdict for verdict in verdicts)
    return {word: found[word] for word in VERDICTS}
