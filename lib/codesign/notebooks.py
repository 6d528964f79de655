"""Running notebooks: percent script to .ipynb, parameters checked, executed by papermill, moved into the book."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from jupyter_core.utils import ensure_event_loop
from rich.table import Table

from codesign import kernels, machine
from codesign.errors import BookFailed, NotebookFailed
from codesign.progress import duration, say, step
from codesign.records import LOCAL, REPOSITORY, new_run_id
from codesign.study import places, profile_file

#: Rebuild every page, turn warnings into errors, report all of them.
STRICT = ("--all", "-W", "-n", "--keep-going")

#: The notebook of `make try`: reading, it shows every shape tried on this machine.
TRY = "07_your_shape"


def run(name: str, parameters: Mapping[str, Any]) -> Path:
    """Execute one notebook into the book.

    Parameters
    ----------
    name
        Name without suffix.
    parameters
        Values that replace those of the notebook's ``parameters`` cell.

    Returns
    -------
    Path
        The executed notebook. It appears when all of its cells have passed, and replaces an older one.

    Raises
    ------
    InputError
        If a parameter is refused.
    NotebookFailed
        If a cell raised. The executed part stays in the build folder.
    """
    defaults = profile_file.defaults(name)
    values = defaults | profile_file.check_all(name, parameters)
    changed = {key: value for key, value in values.items() if value != defaults[key]}
    if values["results"] == LOCAL:
        machine.cpus(values["threads"])  # refuses more than there are, before any work
    os.environ.setdefault("CODESIGN_RUN_ID", new_run_id())  # one for all notebooks of a command
    work = places.build() / "notebooks"
    work.mkdir(parents=True, exist_ok=True)
    source, executed = work / f"{name}.ipynb", work / f"{name}.executed.ipynb"
    nbformat.write(jupytext.read(places.NOTEBOOKS / f"{name}.py"), source)
    with _timed(values["profile"], values["results"], name):
        _execute(source, executed, changed)
    notebook = nbformat.read(executed, as_version=4)
    for (
        cell
    ) in notebook.cells:  # progress went to stderr: it was shown while the notebook ran, and is no part of the page
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    nbformat.write(notebook, executed)
    final = places.runs() / source.name
    final.parent.mkdir(parents=True, exist_ok=True)
    os.replace(executed, final)
    return final


def _execute(source: Path, executed: Path, parameters: Mapping[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # papermill's own imports
        import papermill
        from papermill.exceptions import PapermillExecutionError

    try:
        papermill.execute_notebook(
            source,
            executed,
            parameters=dict(parameters),
            kernel_name="python3",
            progress_bar=False,
            kernel_manager_class=kernels.ForkedKernel,
            stderr_file=sys.stderr,
        )
    except PapermillExecutionError as error:
        first = error.source.strip().partition("\n")[0]
        raise NotebookFailed(
            f"{source.stem}, cell {error.exec_count} ({first}): {error.ename}: {error.evalue}\n"
            f"the executed part, with the full traceback, is {executed}"
        ) from None
    except RuntimeError as error:  # nbclient: the kernel died
        raise NotebookFailed(f"{source.stem}: {error}") from None


def build_book(results: str, profile: str, *, done: Collection[str] = ()) -> Path:
    """Execute the notebooks and build the book from them, refusing every warning.

    Parameters
    ----------
    results
        As `codesign.study.places.results`; ``"local"`` first measures what is missing. A notebook that the profile has
        no section for shows the records of the machine that the book shows.
    profile
        Whose parameters the notebooks take when they measure. Committed records have parameters of their own.
    done
        Notebooks that were executed just now and stay as they are.

    Returns
    -------
    Path
        The index page.

    Raises
    ------
    NotebookFailed, BookFailed
    """
    path = profile_file.path_of(profile)  # refuses an unknown name
    committed = places.results(results).directory / places.PARAMETERS
    sections = profile_file.load(path if results == LOCAL or not committed.exists() else committed)
    notebooks = {name: {**values, "results": results, "profile": profile} for name, values in sections.items()}
    reading = {name: {"results": places.SHOWN} for name in profile_file.notebooks() if name not in sections}
    kernels.prepare()
    if results == LOCAL:
        budgets = profile_file.budgets(profile)
        left = sum(budgets.values())
        for name, values in notebooks.items():
            say(f"== {name}; the profile grants {duration(60 * left)} for this and what follows")
            run(name, values)
            left -= budgets[name]
    else:
        reading |= notebooks
    _side_by_side({name: values for name, values in reading.items() if name not in done})
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(places.BOOK), *STRICT]
    environment = {**os.environ, "CODESIGN_RESULTS": results}  # which records the pages read
    with _timed(profile, results, "book"):
        if code := subprocess.run(command, cwd=REPOSITORY, env=environment, check=False).returncode:
            raise BookFailed(f"jupyter-book failed with exit code {code}")
    return places.BOOK / "_build" / "html" / "index.html"


def _in_a_thread(name: str, parameters: Mapping[str, Any]) -> None:
    try:
        step(f"reading: {name}")
        run(name, parameters)
    finally:
        ensure_event_loop().close()  # the one that nbclient made for this thread


def _side_by_side(notebooks: Mapping[str, Mapping[str, Any]]) -> None:
    """Execute notebooks that measure nothing, one on every core; the first that fails ends those not begun."""
    with ThreadPoolExecutor(machine.describe().cores) as pool:
        running = [pool.submit(_in_a_thread, name, values) for name, values in notebooks.items()]
        try:
            for notebook in running:
                notebook.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@contextlib.contextmanager
def _timed(profile: str, results: str, step: str) -> Iterator[None]:
    """Remember how long a step took here, where it did not fail."""
    start = time.monotonic()
    yield
    entry = {"profile": profile, "results": results, "step": step, "seconds": time.monotonic() - start}
    with (places.build() / "ledger.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")


def took(profile: str) -> dict[str, float]:
    """Return the seconds of the longest run of each step here, measuring: later ones found work already done."""
    path = places.build() / "ledger.jsonl"
    longest: dict[str, float] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError, TypeError, KeyError):  # a line torn by a kill: one time is not known
            entry = json.loads(line)
            if (entry["profile"], entry["results"]) == (profile, LOCAL):
                longest[entry["step"]] = max(entry["seconds"], longest.get(entry["step"], 0.0))
    return longest


def costs(profile: str, steps: Iterable[str]) -> Table:
    """Lay out what each step of a profile may take beside what it took here before."""
    budget, before = profile_file.budgets(profile), took(profile)
    steps = [*steps, "book"]
    shown = Table(title=f"What profile {profile} costs (finished work is not repeated)", title_justify="left")
    shown.add_column("step")
    shown.add_column("budget, 2 cores", justify="right")
    shown.add_column("longest here", justify="right")
    for name in steps:
        here = duration(before[name]) if name in before else "not run yet"
        shown.add_row(name, duration(60 * budget[name]), here, end_section=name == steps[-1])
    shown.add_row("all", duration(60 * sum(budget[step] for step in steps)), "")
    return shown
