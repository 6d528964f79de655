"""What claims about a trained model rest on: right answers, and the latency of the same weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from codesign.answers.words import times
from codesign.errors import MissingRecord
from codesign.measure.ratios import Interval, Ratio, ratio
from codesign.schema import Record
from codesign.study.accuracy import accuracy, difference
from codesign.study.doubts import trusted
from codesign.study.evidence import Evidence, compiled_for, median_ms, missing
from codesign.study.judged import TOLERANCE, Judged, against_at_once, loss, newest_recipe, percent, points
from codesign.study.places import ASIDE
from codesign.study.worth import RANDOM, acceptable, dense_beside, patterns, stored, usable

Effect = Callable[[Evidence], Interval]

#: The pretrained model that is trained.
MODEL = "minilm"
#: How much better than words alone a model is that has understood something, as a share of answers.
CLEARLY = 0.02
#: How far the time of trained patterns may be from that of random ones, as a ratio.
ALIKE = 0.95


def judged(evidence: Evidence) -> Judged:
    """Return the accuracy records of the newest recipe."""
    return newest_recipe(evidence.read("accuracy", model=MODEL))


def timings(evidence: Evidence) -> list[Record]:
    """Return the latency records of the model at the operating point of the book, but for those in doubt."""
    load = {name: getattr(evidence, name) for name in ("batch", "seq", "threads")}
    found = evidence.read("latency", model=MODEL, scope="all", **load)
    return [r for r in trusted(found) if compiled_for(r, evidence.isa) and r["profile"] not in ASIDE]


def over_words(evidence: Evidence) -> Interval:
    """Effect: how many more answers of the dense model are right than of a bag of words."""
    dense = judged(evidence).dense
    return difference(dense, dense, hits="baseline_hits")


def over_at_once(evidence: Evidence) -> Interval:
    """Effect: how many more answers are right after training for blocks, for the shape where that gains least."""
    return _least(against_at_once(judged(evidence), evidence.sparsity).values(), "accuracy", pruner="magnitude")


def over_unstructured(evidence: Evidence) -> Interval:
    """Effect: the same over an unstructured model stored in the blocks, for the shape where it is least."""
    found = stored(judged(evidence), timings(evidence), evidence.sparsity)
    return _least((each.lead for each in found), "accuracy", block="1x1")


def likeness(evidence: Evidence) -> Interval:
    """Effect: time of trained over that of random patterns, or its inverse, for the shape where they differ most."""
    found = patterns(judged(evidence), timings(evidence), evidence.sparsity)
    return _least((_alike(ratio(*pair)) for pair in found.values()), "latency", pruner=RANDOM)


def lead_of_choice(evidence: Evidence) -> Interval:
    """Effect: how many times faster the model to prune to is than whatever loses as little, the dense model included.

    The dense model is run by the fastest dense engine.
    """
    latencies = timings(evidence)
    models = acceptable(judged(evidence), latencies)
    dense = dense_beside(models[0], latencies) if models else None
    others: list[Record] = [*models[1:], *([dense] if dense else [])]
    if not others:
        raise missing("accuracy", model=MODEL, loss=f"at most {TOLERANCE:.0%}")
    fastest = min(others, key=lambda record: median_ms(record).value)
    return ratio(fastest, models[0])


def _alike(found: Ratio) -> Interval:
    ends = [min(end, 1 / end) for end in (found.low, found.high)]
    return Interval(min(found.value, 1 / found.value), min(ends), 1.0 if found.covers(1.0) else max(ends))


def _least(effects: Iterable[Interval], kind: str, **fields: object) -> Interval:
    """Return the smallest effect, end by end: what holds for it holds for all."""
    each = list(effects)
    if not each:
        raise missing(kind, model=MODEL, **fields)
    return Interval(*(min(getattr(effect, end) for effect in each) for end in ("value", "low", "high")))


#: Claim id -> statement, effect, threshold and unit.
ACCURACY_CLAIMS: tuple[tuple[str, str, Effect, float, str], ...] = (
    ("accuracy-baseline", f"The dense MiniLM answers at least {CLEARLY * 100:.0f} percentage points more questions "
     "than a bag of words.", over_words, CLEARLY, "share"),
    ("accuracy-trained", "Training for blocks keeps more right answers than pruning at once and training as long, for "
     "every shape that was compared (MiniLM, 80% of all encoder weights).", over_at_once, 0.0, "share"),
    ("accuracy-blocks", "Training for blocks keeps more right answers than an unstructured mask that is sparse enough "
     "to touch as few blocks (MiniLM).", over_unstructured, 0.0, "share"),
    ("patterns-trained", "Trained patterns take the same time as random ones with as many blocks in each matrix, "
     "within 5%, for every shape that was compared (MiniLM).", likeness, ALIKE, "ratio"),
    ("prune-to", f"Of the models that lose at most {TOLERANCE * 100:.0f} percentage points of right answers, one that "
     "is pruned is faster than all others and than the dense model (MiniLM, all encoder weights).",
     lead_of_choice, 1.0, "ratio"),
)  # fmt: skip


def accuracy_numbers(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yield accuracies, losses and the shape to prune to, as key and text; nothing where nothing was trained."""
    try:
        found = judged(evidence)
        dense = found.dense
    except MissingRecord:
        return
    record = dense[-1]
    yield "accuracy.dense", percent(accuracy(dense))
    yield "accuracy.words", percent(accuracy(dense, hits="baseline_hits"))
    yield "accuracy.majority", f"{record['majority']:.1%}"
    yield "accuracy.steps", str(sum(record["settings"][name] for name in ("prune_steps", "recover_steps")))
    for block, records in found.shapes(evidence.sparsity).items():
        yield f"accuracy.{block}", percent(accuracy(records))
        yield f"accuracy.{block}.lost", points(loss(found, records))
    for block, gain in against_at_once(found, evidence.sparsity).items():
        yield f"accuracy.{block}.over-at-once", points(gain)
    yield from _timed_numbers(found, timings(evidence), evidence.sparsity)


def _timed_numbers(found: Judged, latencies: list[Record], sparsity: float) -> Iterator[tuple[str, str]]:
    for block, pair in patterns(found, latencies, sparsity).items():
        yield f"patterns.{block}.trained-over-random", times(ratio(*pair))
    if not usable(latencies):
        return
    models = acceptable(found, latencies)
    yield "prune-to.count", str(len(models))
    if not models:
        yield "prune-to.model", "none of those that were measured"
        return
    fastest = models[0]
    yield "prune-to.model", f"{fastest['block']} at {fastest['sparsity']:.0%}"
    yield "prune-to.ms", f"{median_ms(fastest).value:.2f} ms"
    if dense := dense_beside(fastest, latencies):
        yield "prune-to.over-dense", times(ratio(dense, fastest))
