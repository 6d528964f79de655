"""Running notebooks: percent script to .ipynb, parameters checked, executed by papermill, moved into the book."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Collection, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbformat import NotebookNode
from traitlets import default

from codesign import machine
from codesign.errors import BookFailed, InputError, NotebookFailed
from codesign.records import LOCAL, REPOSITORY
from codesign.study import ledger, places, profile_file
from codesign.study.chain import say
from codesign.study.parameters import check_all, nearest, parameters_of

#: Parameters that say how to run, so that a profile does not set them.
MODE = ("results", "profile")


#: Rebuild every page, turn warnings into errors, report all of them.
STRICT = ("--all", "-W", "-n", "--keep-going")

#: The notebook of `make try`: reading, it shows every shape tried on this machine.
TRY = "07_your_shape"


class LocalKernel(AsyncKernelManager):
    """A kernel spoken to over files instead of open ports."""

    transport = "ipc"

    @default("ip")
    def _beginning_of_file_names(self) -> str:
        """Jupyter's own default is one name for all: two notebooks begun in the same second would share their files."""
        return str(Path(tempfile.gettempdir()) / f"codesign-{uuid.uuid4().hex[:12]}")


def profiles() -> list[str]:
    """Return the names of the committed profiles."""
    return sorted(path.stem for path in places.PROFILES.glob("*.yaml"))


def profile_path(name: str) -> Path:
    """File of a committed profile.

    Raises
    ------
    InputError
        If there is none of this name; a name is not a path.
    """
    known = profiles()
    if name not in known:
        raise InputError("profile", name, "one of " + ", ".join(known), nearest(name, known))
    return places.PROFILES / f"{name}.yaml"


def load_profile(path: Path) -> dict[str, dict[str, Any]]:
    """Read a profile and return the parameters of each notebook that it has a section for.

    ``common`` holds values for every notebook that takes the parameter; a notebook's section adds to it and overrides
    it. The parameters of `MODE` stay out.

    Raises
    ------
    InputError
        If there is no such file, it is not such a file, or a section or parameter is unknown, missing, given twice, of
        the wrong type or out of range.
    """
    content = profile_file.read(path, profiles())
    common, notebooks = content["common"], content["notebooks"]
    taken = {parameter for notebook in notebooks for parameter in parameters_of(notebook)}
    for name in common.keys() - taken:
        raise InputError("parameter", name, f"a parameter of a notebook in {path.name}", nearest(name, taken))
    return {notebook: _merge(notebook, common, own) for notebook, own in notebooks.items()}


def notebook_section(path: Path, notebook: str) -> dict[str, Any]:
    """Return the parameters that a profile gives one notebook; see `load_profile`."""
    parameters_of(notebook)  # refuses an unknown name
    sections = load_profile(path)
    if notebook not in sections:
        raise InputError("notebook", notebook, f"one that {path.name} has a section for", nearest(notebook, sections))
    return sections[notebook]


def _merge(notebook: str, common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    wanted = [name for name in parameters_of(notebook) if name not in MODE]
    values = {name: value for name, value in common.items() if name in wanted} | dict(own)
    placeholders = dict(zip(MODE, (places.SHOWN, "report"), strict=True))
    checked = check_all(notebook, placeholders | values)
    return {name: checked[name] for name in wanted}


def read_notebook(name: str) -> NotebookNode:
    """Read the percent script of a notebook, as in ``"03_tune"``."""
    parameters_of(name)  # refuses an unknown name
    return jupytext.read(places.NOTEBOOKS / f"{name}.py")


def default_parameters(name: str) -> dict[str, Any]:
    """Return the values in a notebook's own ``parameters`` cell, checked against its rules.

    Raises
    ------
    InputError
        If the cell defines too much, too little, or anything but plain literals.
    """
    cells = [c for c in read_notebook(name).cells if "parameters" in c.metadata.get("tags", ())]
    if len(cells) != 1:
        raise InputError("parameters", len(cells), f"one cell with that tag in {name}")
    values: dict[str, Any] = {}
    for statement in ast.parse(cells[0].source).body:
        target, _, literal = ast.unparse(statement).partition(" = ")
        try:
            values[target] = ast.literal_eval(literal)
        except (SyntaxError, ValueError):
            expected = f"plain assignments of literals in {name}"
            raise InputError("parameters", ast.unparse(statement), expected) from None
    return check_all(name, values)


def run_notebook(name: str, parameters: Mapping[str, Any]) -> Path:
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
    defaults = default_parameters(name)
    values = defaults | check_all(name, parameters, complete=False)
    changed = {key: value for key, value in values.items() if value != defaults[key]}
    if values["results"] == "local":
        machine.cpus(values["threads"])  # refuses more than there are, before any work
    work = places.build() / "notebooks"
    work.mkdir(parents=True, exist_ok=True)
    source, executed = work / f"{name}.ipynb", work / f"{name}.executed.ipynb"
    nbformat.write(read_notebook(name), source)
    start = time.monotonic()
    _execute(source, executed, changed)
    ledger.record(values["profile"], values["results"], name, time.monotonic() - start)
    final = places.runs() / source.name
    final.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(_without_progress(nbformat.read(executed, as_version=4)), executed)
    os.replace(executed, final)
    return final


def build_book(results: str, profile: str, *, done: Collection[str] = ()) -> Path:
    """Execute the notebooks and build the book from them, refusing every warning.

    Parameters
    ----------
    results
        As `codesign.study.places.results`; ``"local"`` first measures what is missing.
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
    path = profile_path(profile)  # refuses an unknown name
    committed = places.results(results).directory / places.PARAMETERS
    sections = load_profile(path if results == LOCAL or not committed.exists() else committed)
    notebooks = {name: {**values, "results": results, "profile": profile} for name, values in sections.items()}
    if TRY not in done:
        notebooks[TRY] = {"results": places.SHOWN}
    if results == LOCAL:
        for name, values in notebooks.items():
            _announced(name, values)
    else:
        _side_by_side(notebooks)
    start = time.monotonic()
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(places.BOOK), *STRICT]
    environment = {**os.environ, "CODESIGN_RESULTS": results}  # which records the pages read
    if code := subprocess.run(command, cwd=REPOSITORY, env=environment, check=False).returncode:
        raise BookFailed(f"jupyter-book failed with exit code {code}")
    ledger.record(profile, results, "book", time.monotonic() - start)
    return places.BOOK / "_build" / "html" / "index.html"


def _announced(name: str, parameters: Mapping[str, Any]) -> None:
    say(f"== {name}, " + ", ".join(f"{key} {parameters[key]}" for key in MODE if key in parameters))
    run_notebook(name, parameters)


def _side_by_side(notebooks: Mapping[str, Mapping[str, Any]]) -> None:
    """Execute notebooks that measure nothing, one on every core; the first that fails ends those not begun."""
    with ProcessPoolExecutor(machine.describe().cores) as pool:
        running = [pool.submit(_announced, name, values) for name, values in notebooks.items()]
        try:
            for notebook in running:
                notebook.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


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
            cwd=REPOSITORY,
            progress_bar=False,
            kernel_manager_class=LocalKernel,
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


def _without_progress(notebook: NotebookNode) -> NotebookNode:
    """Drop what went to stderr: it was shown while the notebook ran, and it is not part of the page."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook
