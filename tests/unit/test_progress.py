"""Progress: what is next, how much is left, and never more than a log can bear."""

from __future__ import annotations

import pytest

from codesign import progress


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that nothing was written to yet."""
    monkeypatch.setenv("TTY_COMPATIBLE", "0")
    monkeypatch.setattr(progress, "_written_s", -progress.EVERY_S)


def test_a_log_has_a_line_a_minute_and_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(0, 10_000, 20))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    assert list(progress.track(list("abcdefgh"), "pruning")) == list("abcdefgh")
    first, *others, last = capsys.readouterr().err.splitlines()
    assert first == "pruning 1/8: a"
    assert last.startswith("pruning: 8 done in ")
    assert 1 <= len(others) < 7
    assert all("left" in line for line in others)


def test_a_terminal_has_one_line_that_is_rewritten(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    assert list(progress.track(["a", "b"], "pruning")) == ["a", "b"]
    written = capsys.readouterr().err
    assert written.count("\n") == 1
    assert written.split("\r\x1b[2K")[1:3] == ["pruning 1/2: a", "pruning 2/2: b, about 0 s left"]


def test_work_that_goes_on_counts_from_where_it_was(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 100.0, 100.0, 300.0, 300.0, 300.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    count = progress.Count("step")
    for done in (100, 110):
        count(done, 130, ", loss 0.5")
    said = capsys.readouterr().err.splitlines()
    assert said == ["step 100/130, loss 0.5", "step 110/130, loss 0.5, about 10 min left"]


def test_nothing_to_do_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track([], "pruning")) == []
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89, "89 s"), (100, "2 min"), (45 * 60, "45 min"), (3 * 3600 + 1200, "3 h 20 min")],
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text
