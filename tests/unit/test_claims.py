"""Verdicts follow from records, and only from them; numbers go by the names of effects."""

import re
import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import MILLISECONDS, Memory, everything, latency, machine, session, task

from codesign.answers.claims import TOPICS, Verdict, claims, counts, decide, verdicts
from codesign.answers.effects import effects, least, text
from codesign.answers.encoders import amdahl_bound
from codesign.answers.frames import Frames
from codesign.errors import InputError, MissingRecord
from codesign.measure.ratios import Interval
from codesign.measure.session import REFERENCES
from codesign.records import KINDS, Results
from codesign.study import places, profile_file
from codesign.study.places import BOOK

SIZES = {"attention": (768, 768), "ffn-up": (3072, 768), "ffn-down": (768, 3072)}
THIRTY_TWO = ("tvm-bsr", "attention", "32x1")


def judged(records: list) -> dict[str, Verdict]:
    return verdicts(Frames(Memory(records)))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(4.0, 4.2, "supported"), (3.9, 4.1, "inconclusive"), (3.8, 3.9, "not supported"), (3.9, 4.0, "inconclusive")],
)
def test_an_interval_on_one_side_of_the_threshold_decides(low: float, high: float, verdict: str) -> None:
    assert decide(Interval(4.0, low, high), 4.0) == verdict


def test_every_claim_has_an_effect_a_topic_and_a_check() -> None:
    listed = yaml.safe_load((BOOK / "claims.yaml").read_text())
    assert len(listed) == len(claims())
    for claim in claims().values():
        assert claim.topic in TOPICS
        assert claim.command.startswith("make ")
        assert claim.minutes > 0
        assert claim.unit
    page = (BOOK / "claims.md").read_text()
    assert re.findall(r"^```\{claims\} (\w+)$", page, flags=re.MULTILINE) == list(TOPICS)


@pytest.mark.parametrize(
    ("effect", "message"),
    [
        ("leed.all.32x1", "effect of claim paper-2 .*did you mean lead"),
        ("cpu.machine", "effect"),
        ("amdahl.share", "number"),
    ],
)
def test_a_claim_needs_an_effect_that_is_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, effect: str, message: str
) -> None:
    text = (BOOK / "claims.yaml").read_text()
    assert text.count("lead.attention.32x1") == 1
    (tmp_path / "claims.yaml").write_text(text.replace("lead.attention.32x1", effect))
    monkeypatch.setattr(places, "BOOK", tmp_path)
    with pytest.raises(InputError, match=message):
        claims.__wrapped__()


def test_thresholds_taken_from_the_paper_are_the_published_ones() -> None:
    published = yaml.safe_load((BOOK / "paper.yml").read_text())
    for id, key in (("paper-1a", "over-pytorch"), ("paper-1b", "over-tvm")):
        assert published[key]["value"] == f"{claims()[id].threshold:g}\N{MULTIPLICATION SIGN}"


def test_verdicts_change_with_the_records() -> None:
    found = judged(everything())
    assert found["paper-1a"].verdict == "not supported"  # 150 / 40
    assert found["paper-1a-all"].verdict == "supported"  # 150 / 20
    assert found["credit-dense"].verdict == "supported"  # 52 / 40
    assert found["paper-2"].verdict == "supported"
    assert "not measured here" not in {verdict.verdict for verdict in found.values()}
    assert sum(counts(found.values()).values()) == len(claims())
    faster = [*everything(), latency("tvm-bsr", "attention", "32x1", 30.0)]
    assert judged(faster)["paper-1a"].verdict == "supported"


def test_a_wide_interval_is_inconclusive_and_one_faster_shape_refutes_the_best() -> None:
    assert judged(session(MILLISECONDS | {THIRTY_TWO: 51.9}, spread=0.2))["credit-dense"].verdict == "inconclusive"
    times = MILLISECONDS | {("tvm-bsr", "attention", "16x16"): 35.0}
    assert judged(session(times))["paper-2"].verdict == "not supported"
    tie = MILLISECONDS | {("tvm-bsr", "attention", "16x16"): 40.0}
    assert judged(session(tie, spread=0.05))["paper-2"].verdict == "inconclusive"


def test_a_flagged_session_decides_nothing_and_says_why() -> None:
    verdict = judged(session(flagged=True, flag_reason="A/A control"))["paper-1a-all"]
    assert (verdict.verdict, verdict.note) == ("inconclusive", "A/A control")


def test_what_is_missing_is_named() -> None:
    verdict = judged([])["paper-1a"]
    assert (verdict.verdict, verdict.effect, verdict.text) == ("not measured here", None, "-")
    assert "latency" in verdict.note
    assert "04_latency" in verdict.note


def test_uses_per_task_are_those_of_the_worst_shape_in_its_newest_run() -> None:
    older = [task("attention", "4x1", f"old{i}", 1, run_id="older") for i in range(48)]
    records = [*older, task("attention", "4x1", "a", 48), *[task("attention", "32x1", f"b{i}", 8) for i in range(6)]]
    verdict = judged(records)["paper-3"]
    assert verdict.effect is not None
    assert (verdict.verdict, verdict.effect.value) == ("supported", 8)


def test_amdahl_bounds_the_attention_scope() -> None:
    assert amdahl_bound(0.8, 128) == pytest.approx(1.35, abs=0.005)
    assert amdahl_bound(0.0, 128) == 1


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("latency.torch-eager.none.dense", "150 ms"),
        ("speedup.torch-eager.all.32x1", "7.5"),
        ("shapes.best.all", "32x1"),
        ("shape-speedup.best.all.tvm-dense", "2.6"),
        ("shapes.tall.attention", "4x1 and 32x1"),
        ("point.sparsity", "80%"),
        ("machine.cpu", "Test CPU"),
        ("version.torch", "2.0"),
        ("claim.paper-1a.verdict", "not supported"),
        ("claims-judged", str(len(claims()))),
    ],
)
def test_a_number_is_an_effect_by_name(key: str, said: str) -> None:
    records = [machine(), *session()]
    assert text(Frames(Memory(records)), key).startswith(said)


def test_a_name_that_does_not_exist_says_the_nearest_and_one_without_records_what_makes_it() -> None:
    here = Frames(Memory(session()))
    with pytest.raises(InputError, match="did you mean speedup"):
        text(here, "speedups.torch-eager.all.32x1")
    with pytest.raises(InputError, match=r"speedup\.<baseline>\.<scope>\.<block>"):
        text(here, "speedup.torch-eager")
    with pytest.raises(MissingRecord, match="04_latency"):
        text(here, "latency.tvm-bsr.ffn.32x1")
    with pytest.raises(MissingRecord):
        text(here, "claim.task-reuse.effect")
    with pytest.raises(MissingRecord, match="zen9"):
        text(here, "zen9.lead.all.32x1")


def test_what_holds_for_the_least_holds_for_all() -> None:
    assert least([Interval(3, 2, 5), Interval(2.5, 2.2, 2.6)]) == Interval(2.5, 2, 2.6)
    assert len(effects()) > 40


def test_what_the_default_profile_says_it_judges_it_measures() -> None:
    """The committed records of a machine that has all, cut to what the default profile would measure there."""
    complete, sections = Results("emerald-rapids-avx512"), profile_file.load(profile_file.path_of("default"))
    kept = []
    for name, kind in KINDS.items():
        notebook = re.search(r"notebook (\w+)", kind.producer)
        values = sections.get(notebook[1], {"blocks": ["none"]}) if notebook else {}
        wanted = {
            "block": [*values.get("blocks", []), values.get("block"), "dense"],
            "scope": [*values.get("scopes", []), values.get("scope"), "none"],
            "engine": [*values["engines"], *REFERENCES] if "engines" in values else [],
        }
        wanted = {field: [None, *known] for field, known in wanted.items() if any(known[:-1])}
        sizes = [SIZES[each] for each in values.get("linears", [])]
        for record in complete.read(name):
            size = record.get("outputs"), record.get("inputs")
            if all(record.get(field) in known for field, known in wanted.items()) and (not sizes or size in sizes):
                kept.append(record)
    without = [id for id, verdict in judged(kept).items() if verdict.verdict == "not measured here"]
    assert [id for id in without if claims()[id].profile == "default"] == []
