"""The command and the Makefile: refusals before any work, exit codes, and the doctor."""

from __future__ import annotations

import errno
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from codesign import cli, notebooks
from codesign.answers.claims import claims
from codesign.commands import doctor
from codesign.errors import MissingRecord, MissingTask, RecordError
from codesign.records import REPOSITORY
from codesign.study import places


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What would have been run."""
    calls: list[object] = []

    def run(name: str, values: dict[str, object]) -> Path:
        calls.append((name, values))
        return Path(f"{name}.ipynb")

    monkeypatch.setattr(notebooks, "run", run)
    monkeypatch.setattr(notebooks, "build_book", lambda *given, **named: calls.append((given, named)))
    return calls


def test_try_measures_here_and_then_builds_the_book_from_the_committed_results(ran: list[object]) -> None:
    assert cli.main(["try", "--block", "24x1", "--sparsity", "0.9", "--scope", "", "-p", "seq=64"]) == 0
    assert ran == [
        ("07_your_shape", {"block": "24x1", "sparsity": 0.9, "seq": 64, "results": "local"}),
        (("book", "default"), {"done": ["07_your_shape"]}),
    ]


def test_run_takes_a_profile_and_lets_pairs_override_it(ran: list[object]) -> None:
    assert cli.main(["run", "03_tune", "--profile", "quick", "-p", "seq=64", "--results", "local"]) == 0
    ((name, values),) = ran
    assert name == "03_tune"
    assert values["model"] == "bert-tiny"
    assert (values["profile"], values["results"], values["seq"]) == ("quick", "local", 64)


def test_run_takes_a_parameter_file_of_any_name(ran: list[object], tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text((places.PROFILES / "quick.yaml").read_text())
    assert cli.main(["run", "03_tune", "--params", str(path), "--results", "local"]) == 0
    ((_, values),) = ran
    assert values["model"] == "bert-tiny"
    assert "profile" not in values  # the notebook's own: a file of another name is no profile


def test_claims_are_printed_and_given_to_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.main(["claims", "--json", "-"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["id"] for row in rows} == claims().keys()
    assert {"id", "statement", "verdict", "effect", "interval", "machine"} <= rows[0].keys()
    assert all(row["interval"][0] <= row["effect"] <= row["interval"][1] for row in rows if row["effect"] is not None)
    assert cli.main(["claims", "--results", "local", "--json", str(tmp_path / "claims.json")]) == 0
    printed = capsys.readouterr().out
    assert all(id in printed for id in claims())
    assert "not measured here" in printed
    local = json.loads((tmp_path / "claims.json").read_text())
    assert [row for row in local if row["machine"] != "here"] == rows
    assert cli.main(["claims", "--results", "elsewhere"]) == 2
    assert cli.main(["claims", "--json", str(tmp_path / "nowhere" / "claims.json")]) == 2


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/full/latency.jsonl"), 1, "/full/latency.jsonl: No space"),
        (PermissionError(errno.EACCES, "Permission denied", "/closed"), 1, "/closed: Permission denied"),
        (KeyboardInterrupt(), 130, "the same command goes on from there"),
        (MissingRecord("latency", {}, "notebook 04_latency", "here"), 1, "notebook 04_latency makes it"),
        (RecordError("machine.jsonl:1: not a JSON object"), 1, "machine.jsonl:1: not a JSON object"),
        (MissingTask("task linear (0123) is not in here: tune it"), 1, "is not in here"),
    ],
)
def test_what_the_system_or_the_user_ends_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str
) -> None:
    def run(name: str, values: object) -> None:
        raise error

    monkeypatch.setattr(notebooks, "run", run)
    assert cli.main(["run", "03_tune"]) == code
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "01_prune", "--profile", ""], "profile='' is not valid: expected one of default"),
        (["run", "01_prune", "--profile", "../params/quick"], "profile='../params/quick'"),
        (["run", "01_prune", "--params", "mine.yaml"], "params='mine.yaml'"),
        (["reproduce", "--profile", "x" * 5000], "profile='xxx"),
        (["try", "--block", "4x1", "--sparsity", "0.5", "-p", "block=8x1"], "block is set already"),
        (["try", "--block", "4x1", "--sparsity", "0.5", "-p", "results=reference"], "results is set already"),
        (["try", "--block", "4x1", "--sparsity", "0.5", "-p", "profile=report"], "profile is set already"),
        (["run", "03_tune", "-p", "seq"], "NAME=VALUE"),
        (
            ["try", "--block", "0x4", "--sparsity", "0.9"],
            "block='0x4' is not valid: expected ROWSxCOLS with integers of at least 1, as in '32x1'; did you",
        ),
        (["try", "--block", "32*1", "--sparsity", "0.9"], "did you mean 32x1?"),
        (["try", "--block", "", "--sparsity", "0.9"], "block=''"),
        (["try", "--block", "9" * 5000 + "x1", "--sparsity", "0.5"], "block='999"),
        (
            ["try", "--block", "24x1", "--sparsity", "1.2"],
            "sparsity=1.2 is not valid: expected a number from 0.0 to 0.999; did you mean 0.999?",
        ),
        (["try", "--block", "24x1", "--sparsity", "much"], "sparsity='much'"),
        (["try", "--block", "24x1", "--sparsity", ""], "sparsity=None"),
        (["compile", "bert-tny"], "did you mean bert-tiny?"),
        (["compile", "bert-tiny", "--block", ""], "blocks='' is not valid"),
        (["compile", "bert-tiny", "--block", "dense", "--prune", "4x1@0.5"], "none with block=dense"),
        (["compile", "bert-tiny", "--block", "4x1"], "did you mean --prune 4x1@0.8?"),
        (["compile", "bert-tiny", "--block", "4x1,8x1"], "one block shape; did you mean 4x1?"),
        (["compile", "bert-tiny", "--prune", "4x1,8x1@0.8"], "one block shape; did you mean 4x1@0.8?"),
        (["compile", "bert-tiny", "--out", "/"], "an artefact to replace"),
        (["compile", "bert-tiny", "--out", "/etc/passwd/x"], "out='/etc/passwd/x'"),
        (["compile", "bert-tiny", "--out", "x" * 300], "File name too long"),
    ],
)
def test_a_wrong_value_is_refused_before_any_work(
    ran: list[object],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    assert cli.main(arguments) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not ran
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("recipe", "arguments", "message"),
    [
        ("book", ["RESULTS=locl"], "results='locl'"),
        ("try", ["BLOCK=", "SPARSITY=0.9"], "block=''"),
        ("reproduce", ["PROFILE=defalt"], "did you mean default?"),
    ],
)
def test_make_fails_where_a_step_fails(tmp_path: Path, recipe: str, arguments: list[str], message: str) -> None:
    """Make itself, with this environment in the place of the one that it would set up."""
    clone = tmp_path / "clone"
    clone.mkdir()
    (clone / "Makefile").write_text((REPOSITORY / "Makefile").read_text())
    for name in ("requirements.lock", "requirements-data.lock", "pyproject.toml"):
        (clone / name).touch()
    (clone / ".venv").mkdir()
    (clone / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (clone / ".venv" / "requirements.lock").touch()
    done = subprocess.run(
        ["make", recipe, *arguments],
        cwd=clone,
        env=os.environ | {"CODESIGN_WORKSPACE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr  # make's own, whatever the recipe's
    assert message in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebooks, "run", lambda name, values: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["run", "03_tune"])


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_what_a_user_types_never_becomes_shell_code() -> None:
    printed = make("--dry-run", "try", "BLOCK=32*1; false", "SPARSITY='0.9' `false`")
    assert '--block "${BLOCK-}" --sparsity "${SPARSITY-}"' in printed.stdout
    assert "32*1" not in printed.stdout


def test_make_help_lists_the_commands() -> None:
    listed = {line.split()[0] for line in make("help").stdout.splitlines()}
    assert listed >= {"reproduce", "try", "book", "test", "check", "clean", "distclean", "doctor"}


def test_the_doctor_is_content_where_the_lock_is_installed() -> None:
    assert [f for f in doctor.examine() if f.what == "packages"] == [
        doctor.Finding("packages", True, f"{_pins()} as locked", "requirements.lock")
    ]


def _pins() -> int:
    return sum("==" in line for line in (REPOSITORY / "requirements.lock").read_text().splitlines())


@pytest.mark.parametrize("package", ["apache-tvm-ffi", "torch"])
def test_the_doctor_sees_another_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: str
) -> None:
    version = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.1.15" if name == package else version(name))
    findings = doctor.examine()
    (wrong,) = (finding for finding in findings if finding.what == package)
    assert not wrong.ok
    assert wrong.found == "0.1.15"
    assert ("segfaults" in wrong.wanted) == (package == "apache-tvm-ffi")
    assert doctor.safe(findings) == (package == "torch")
    # nothing is measured where TVM would crash
    assert (doctor.report(findings) if doctor.safe(findings) else cli.main(["doctor", "--measure"])) == 1
    assert package in capsys.readouterr().out


def test_the_doctor_misses_a_package_and_a_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("no-such-package==1.0\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = {finding.what: finding.found for finding in doctor.examine(lock) if not finding.ok}
    assert found.items() >= {"no-such-package": "not installed", "C++ compiler": "none"}.items()


def test_help_imports_nothing_that_takes_long() -> None:
    slow = {"numpy", "torch", "transformers", "tvm", "pandas", "pydantic", "IPython", "papermill", "jsonschema", "rich"}
    code = f"""
import contextlib, io, sys
from codesign import cli
for command in ([], ["run"], ["reproduce"], ["try"], ["bench"], ["compile"], ["claims"], ["doctor"]):
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        cli.main([*command, "--help"])
print(*({slow!r} & sys.modules.keys()))
from codesign.commands import doctor
doctor.examine()  # looks at versions without importing what crashes where they are wrong
print(*({{"torch", "tvm", "transformers"}} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_doctor_shows_ceilings_and_says_what_they_are_worth() -> None:
    peak = {"level": "registers", "isa": "avx2", "format": "fp32", "unit": "GFLOP/s", "load_average": 0.1}
    read = {"level": "L2", "isa": "avx2", "format": "fp32", "unit": "GB/s", "load_average": 3.0}
    one = {"threads": 1, "rate": 130.2, "reason": None}
    two = {"threads": 2, "rate": None, "reason": "why not"}
    quiet, busy = doctor.ceilings([peak | one, peak | two]), doctor.ceilings([read | one])
    assert "130 GFLOP/s" in quiet
    assert "why not" in quiet
    assert "measured beside other work" not in quiet
    assert "reading L2" in busy
    assert "load average 3.0" in busy
    assert "codesign doctor --measure" in doctor.ceilings([])
