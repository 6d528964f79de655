"""Verdicts follow from records, and only from them."""

import re
import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import MILLISECONDS, Memory, everything, latency, session, task

from codesign.measure.ratios import Interval
from codesign.study.claims import CLAIMS, TOPICS, Verdict, amdahl_bound, decide, evaluate
from codesign.study.evidence import Evidence
from codesign.study.places import BOOK

THIRTY_TWO = ("tvm-bsr", "attention", "32x1")


def verdicts(records: list) -> dict[str, Verdict]:
    return {verdict.id: verdict for verdict in evaluate(Evidence(Memory(records)))}


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(4.0, 4.2, "supported"), (3.9, 4.1, "inconclusive"), (3.8, 3.9, "not supported"), (3.9, 4.0, "inconclusive")],
)
def test_an_interval_on_one_side_of_the_threshold_decides(low: float, high: float, verdict: str) -> None:
    assert decide(Interval(4.0, low, high), 4.0) == verdict


def test_ids_are_unique_and_every_claim_says_how_to_check_it() -> None:
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)
    assert all(claim.command.startswith("make ") and claim.minutes > 0 for claim in CLAIMS)


def test_thresholds_taken_from_the_paper_are_the_published_ones() -> None:
    published = yaml.safe_load((BOOK / "paper.yml").read_text())
    thresholds = {claim.id: claim.threshold for claim in CLAIMS}
    for claim, key in (("paper-1a", "over-pytorch"), ("paper-1b", "over-tvm")):
        assert published[key]["value"] == f"{thresholds[claim]:g}\N{MULTIPLICATION SIGN}"


def test_verdicts_change_with_the_records() -> None:
    found = verdicts(everything())
    assert found["paper-1a"].verdict == "not supported"  # 150 / 40
    assert found["paper-1a-all"].verdict == "supported"  # 150 / 20
    assert found["credit-dense"].verdict == "supported"  # 52 / 40
    assert found["paper-2"].verdict == "supported"
    faster = [*everything(), latency("tvm-bsr", "attention", "32x1", 30.0)]
    assert verdicts(faster)["paper-1a"].verdict == "supported"


def test_a_wide_interval_is_inconclusive() -> None:
    times = MILLISECONDS | {THIRTY_TWO: 51.9}
    assert verdicts(session(times, spread=0.2))["credit-dense"].verdict == "inconclusive"


def test_one_faster_shape_is_enough_to_refute_the_best_shape() -> None:
    times = MILLISECONDS | {("tvm-bsr", "attention", "16x16"): 35.0}
    assert verdicts(session(times))["paper-2"].verdict == "not supported"
    tie = MILLISECONDS | {("tvm-bsr", "attention", "16x16"): 40.0}
    assert verdicts(session(tie, spread=0.05))["paper-2"].verdict == "inconclusive"


def test_a_flagged_session_decides_nothing_and_says_why() -> None:
    verdict = verdicts(session(flagged=True, flag_reason="A/A control"))["paper-1a-all"]
    assert (verdict.verdict, verdict.note) == ("inconclusive", "A/A control")


def test_what_is_missing_is_named() -> None:
    verdict = verdicts([])["paper-1a"]
    assert verdict.verdict == "not measured here"
    assert verdict.effect is None
    assert "latency" in verdict.note
    assert "04_latency" in verdict.note


def test_failed_and_control_records_do_not_count() -> None:
    failed = latency(*THIRTY_TWO, 1.0, status="failed", reason="wrong output")
    control = latency(*THIRTY_TWO, 1.0, control="A/A")
    assert verdicts([*everything(), failed, control])["paper-1a"].verdict == "not supported"


def test_drift_between_sessions_cancels() -> None:
    times = {("openvino", "none", "dense"): 100.0, ("tvm-stock-default", "none", "dense"): 40_000.0}
    twice_as_slow = session(times, session_id="later")  # a machine at half its speed
    ratio = verdicts([*session(), *twice_as_slow])["paper-1b-untuned"].effect
    assert ratio is not None
    assert ratio.value == pytest.approx(500, rel=0.02)  # 20 000 / 40


def test_uses_per_task_is_that_of_the_worst_shape() -> None:
    records = [task("attention", "4x1", "a", 48), *[task("attention", "32x1", f"b{i}", 8) for i in range(6)]]
    verdict = verdicts(records)["paper-3"]
    assert verdict.effect is not None
    assert (verdict.verdict, verdict.effect.value) == ("supported", 8)


def test_tasks_of_an_older_run_are_forgotten() -> None:
    older = [task("attention", "4x1", f"old{i}", 1, run_id="older") for i in range(48)]
    verdict = verdicts([*older, task("attention", "4x1", "new", 48)])["paper-3"]
    assert verdict.effect is not None
    assert verdict.effect.value == 48


def test_amdahl_bounds_the_attention_scope() -> None:
    assert amdahl_bound(0.8, 128) == pytest.approx(1.35, abs=0.005)
    assert amdahl_bound(0.0, 128) == 1


def test_the_page_of_claims_has_every_group() -> None:
    page = (BOOK / "claims.md").read_text()
    assert re.findall(r"^```\{claims\} (\w+)$", page, flags=re.MULTILINE) == list(TOPICS)
