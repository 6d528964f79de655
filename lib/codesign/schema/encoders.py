"""Kinds of records about machines and whole encoders: one class each, whose fields name their unit in the end."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from codesign.schema.parts import (
    Allocation,
    Amount,
    Answers,
    Cosine,
    Count,
    Engine,
    KernelKind,
    Object,
    Part,
    Point,
    Positive,
    Rates,
    Samples,
    Share,
    Stamp,
    Text,
)


class Machine(Stamp):
    """What a machine is.

    Somebody who knows it gave it a ``name`` (generation, clock, instruction sets), and says what its processor has that
    this virtual machine ``hides``.
    """

    producer = "notebook 04_latency (or `codesign doctor`)"
    cpu: Text
    vendor: Text
    isa: list[Text]
    cores: Positive
    threads: Positive
    l1d_kib: Amount
    l2_kib: Amount
    l3_kib: Amount
    memory_gib: Amount
    name: Text | None = None
    hides: Text | None = None


class _Matrix(Part):
    model_config = ConfigDict(extra="ignore")  # older records say more
    name: Text
    shape: Annotated[list[Positive], Field(min_length=2, max_length=2)]
    blocks: Positive
    nnz_blocks: Count
    element_sparsity: Share
    block_sparsity: Share


class Pattern(Point):
    """What pruning left of the weights."""

    producer = "notebook 01_prune"
    allocation: Allocation
    element_sparsity: Share
    block_sparsity: Share
    retained_l2: Amount
    matrices: list[_Matrix]
    stored_as: list[Object] | None = None  # of older records


class Accuracy(Point):
    """What a trained model answers."""

    producer = "notebook 11_accuracy"
    recipe: Text
    task: Text
    task_digest: Text
    labels: Annotated[list[Text], Field(min_length=2)]
    train_size: Annotated[list[Count], Field(min_length=2)]
    test_size: Annotated[list[Count], Field(min_length=2)]
    allocation: Allocation
    settings: Object
    steps: Count
    seconds: Amount
    device: Text
    accuracy: Share
    hits: Answers
    baseline: Share
    baseline_hits: Answers
    majority: Share
    cosine: Cosine
    rank_correlation: Cosine
    element_sparsity: Share
    block_sparsity: Share

    @model_validator(mode="after")
    def _shares_are_those_of_the_answers(self) -> Accuracy:
        tested = sum(self.test_size)
        for share, hits in (("accuracy", "hits"), ("baseline", "baseline_hits")):
            answers = getattr(self, hits)
            if len(answers) != tested:
                raise ValueError(f"field {hits!r}: {len(answers)} answers to {tested} questions")
            if abs(getattr(self, share) - answers.count("1") / tested) > 1e-9:
                raise ValueError(f"field {share!r}: is not the share of right answers in {hits!r}")
        return self


class Rating(Engine):
    """What a trained model says of the sentences of one domain, run by one engine in its number format.

    ``hits`` are right signs, ratings of 0 left out; ``influence`` is by how much each sentence moves Pearson's r
    (`codesign.train.evaluate.correlation`). ``words_*`` are a bag of words, ``raters_*`` one half of the raters against
    the other, ``ceiling_pearson`` the most that can be reached (`codesign.corpus.reviews.Raters`).
    """

    producer = "notebook 11_accuracy"
    recipe: Text
    task: Text
    task_digest: Text
    domain: Literal["movies", "amazon"]
    train_size: Positive
    test_size: Positive
    settings: Object
    steps: Count
    seconds: Amount
    device: Text
    sign_accuracy: Share
    hits: Answers
    pearson: Cosine
    influence: list[float]
    words_sign: Share
    words_pearson: Cosine
    raters_sign: Share
    raters_pearson: Cosine
    ceiling_pearson: Cosine
    element_sparsity: Share
    block_sparsity: Share

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Rating:
        if len(self.influence) != self.test_size:
            raise ValueError(f"field 'influence': {len(self.influence)} values of {self.test_size} sentences")
        if len(self.hits) > self.test_size:
            raise ValueError(f"field 'hits': {len(self.hits)} signs of {self.test_size} sentences")
        if abs(self.sign_accuracy - self.hits.count("1") / len(self.hits)) > 1e-9:
            raise ValueError("field 'sign_accuracy': is not the share of right signs in 'hits'")
        return self


class _Company(Part):
    """What the probe saw: its best, and the worse of the two looks around each turn that counts or does not."""

    best: Rates
    turns: list[Rates]
    disturbed: list[Rates]


class _Rounds(Engine):
    session_id: Text
    samples_ns: list[Amount]
    rounds: list[Count]
    max_abs_err: Amount | None
    cosine: Cosine | None = None
    block_sparsity: Share
    element_sparsity: Share
    settings: Object

    @model_validator(mode="after")
    def _samples_are_those_of_the_rounds(self) -> _Rounds:
        for rounds, samples in (("rounds", "samples_ns"), ("disturbed_rounds", "disturbed_ns")):
            if sum(getattr(self, rounds, ())) != len(getattr(self, samples, ())):
                raise ValueError(f"field {rounds!r}: does not add up to the number of samples")
        return self


class Latency(_Rounds):
    """An engine in a session.

    ``disturbed_*`` are turns and passes alone that do not count, because the machine was disturbed around them;
    ``process_spread`` is the factor by which two processes of one engine differ in the session.
    """

    producer = "notebook 04_latency"
    measurement_version = 2
    warmup_ns: list[Amount]
    solo_ns: list[Amount]
    status: Literal["ok", "skipped", "failed"]
    reason: str | None
    control: Text | None
    flagged: bool
    flag_reason: str | None
    peak_rss_bytes: Count | None = None
    disk_bytes: Count | None = None
    disturbed_ns: list[Amount] = Field(default=[])
    disturbed_rounds: list[Count] = Field(default=[])
    disturbed_solo_ns: list[Amount] = Field(default=[])
    disturbed_share: Share = 0.0
    company: _Company | None = None
    process_spread: Annotated[float, Field(ge=1)] = 1.0

    @model_validator(mode="after")
    def _a_time_was_checked(self) -> Latency:
        if self.max_abs_err is None and (self.samples_ns or self.status == "ok"):
            raise ValueError("field 'max_abs_err': a timing without a correctness value is refused")
        if self.status == "ok" and not self.samples_ns:
            raise ValueError("field 'samples_ns': status 'ok' without a sample")
        if self.status != "ok" and not self.reason:
            raise ValueError(f"field 'reason': status {self.status!r} needs one")
        for turns, rounds in (("turns", "rounds"), ("disturbed", "disturbed_rounds")):
            if self.company and len(getattr(self.company, turns)) != len(getattr(self, rounds)):
                raise ValueError(f"field 'company': needs a pair of rates for each of {rounds!r}")
        return self


class Vectors(Latency):
    """One session in which the same encoders run compiled for several instruction sets."""

    producer = "notebook 15_ledger"


class Layouts(Latency):
    """One session in which the same encoders run laid out in several ways."""

    producer = "notebook 17_layouts"


class Formats(Latency):
    """One session in which the same encoders run in several number formats."""

    producer = "notebook 18_formats"


class Protocol(_Rounds):
    """An engine of a pair that took turns in some way."""

    producer = "notebook 04_latency"
    measurement_version = 2
    way: Literal["alone", "naive", "turns"]
    samples_ns: Samples
    max_abs_err: Amount


class Throughput(Engine):
    """An engine in as many processes at once as there are cores, each with ``threads``; a rate for each round."""

    producer = "notebook 06_sweeps"
    session_id: Text
    processes: Positive
    sequences_per_s: list[Amount]
    max_abs_err: Amount | None
    status: Literal["ok", "skipped", "failed"]
    reason: str | None
    block_sparsity: Share
    element_sparsity: Share
    settings: Object


class Profile(Engine):
    """A kernel inside whole inferences."""

    producer = "notebook 15_ledger"
    measurement_version = 2
    target: Text
    function: Text
    function_kind: KernelKind | Literal["whole"]
    calls: Positive
    median_ns: Amount
    samples_ns: Samples
    max_abs_err: Amount
