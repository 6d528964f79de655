"""Profiles: YAML files that say which parameters each notebook takes, and the notebooks' own parameters cells.

A file has a fixed outline, and anything else is refused by what is wrong with it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from codesign.errors import InputError
from codesign.study import places
from codesign.study.parameters import check, expected, nearest

SECTIONS = ("common", "notebooks", "budget_minutes")
#: Parameters of every notebook that say how to run, so that a profile does not set them.
MODE = ("results", "profile")


class _Loader(yaml.SafeLoader):
    """YAML without code, in which a key may stand once: of two values, YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if (text := str(key.value)) in seen:
                line = key.start_mark.line + 1
                raise InputError(text, "twice", f"one value for each name (line {line} gives a second)")
            seen.add(text)
        return super().construct_mapping(node, deep)


def notebooks() -> list[str]:
    """Return the names of all notebooks, in order."""
    return sorted(path.stem for path in places.NOTEBOOKS.glob("*.py"))


def names() -> list[str]:
    """Return the names of the committed profiles."""
    return sorted(path.stem for path in places.PROFILES.glob("*.yaml"))


def path_of(name: str) -> Path:
    """File of a committed profile.

    Raises
    ------
    InputError
        If there is none of this name; a name is not a path.
    """
    known = names()
    if name not in known:
        raise InputError("profile", name, "one of " + ", ".join(known), nearest(name, known))
    return places.PROFILES / f"{name}.yaml"


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Read the sections of a profile; those that are absent or empty are empty mappings.

    Returns
    -------
    dict[str, dict[str, Any]]
        Each of `SECTIONS`; what they say is not looked at. A notebook with nothing to say has an empty mapping.

    Raises
    ------
    InputError
        If the file cannot be read, or is not such a file.
    """
    content = _parse(path)
    if not isinstance(content, dict):
        called = {type(None): "nothing", str: "text", list: "a list"}.get(type(content), "a value on its own")
        raise InputError("profile", path.name, f"a mapping with the sections {', '.join(SECTIONS)}, not {called}")
    for name in content.keys() - set(SECTIONS):
        raise InputError("section", name, f"a section of {path.name}", nearest(name, SECTIONS))
    if "notebooks" not in content:
        raise InputError("section", "notebooks", f"what {path.name} is about, and it is missing")
    sections = {name: _mapping(path, name, content.get(name)) for name in SECTIONS}
    notebooks = {name: _mapping(path, name, own) for name, own in sections["notebooks"].items()}
    return sections | {"notebooks": notebooks}


def _parse(path: Path) -> Any:
    try:
        if not path.is_file():
            raise InputError("profile", path.stem, "one of " + ", ".join(names()), nearest(path.stem, names()))
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except InputError:
        raise
    except OSError as error:
        raise InputError("profile", path.name, f"a file of text that can be read ({error})") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise InputError("profile", path.name, f"YAML ({where}{error.problem or error.context})") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError("profile", path.name, f"YAML ({' '.join(str(error).split())[:120]})") from None


def _mapping(path: Path, name: object, value: Any) -> dict[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise InputError(str(name), value, f"a mapping of names to values in {path.name}")
    return value or {}


def load(path: Path) -> dict[str, dict[str, Any]]:
    """Read a profile and return the parameters of each notebook that it has a section for.

    ``common`` holds values for every notebook that takes the parameter; a notebook's section adds to it and overrides
    it. The parameters of `MODE` stay out.

    Raises
    ------
    InputError
        If there is no such file, it is not such a file, or a section or parameter is unknown, missing, given twice, of
        the wrong type or out of range.
    """
    content = read(path)
    common, notebooks = content["common"], content["notebooks"]
    takes = {notebook: [name for name in defaults(notebook) if name not in MODE] for notebook in notebooks}
    taken = {parameter for wanted in takes.values() for parameter in wanted}
    for name in common.keys() - taken:
        raise InputError("parameter", name, f"a parameter of a notebook in {path.name}", nearest(name, taken))
    loaded = {}
    for notebook, own in notebooks.items():
        values = check_all(notebook, {name: common[name] for name in takes[notebook] if name in common} | own)
        for name in takes[notebook]:
            if name not in values:
                raise InputError(name, None, f"{expected(name)} ({notebook} takes it, and it is missing)")
        loaded[notebook] = {name: values[name] for name in takes[notebook]}
    return loaded


def section(path: Path, notebook: str) -> dict[str, Any]:
    """Return the parameters that a profile gives one notebook; see `load`."""
    defaults(notebook)  # refuses an unknown name
    sections = load(path)
    if notebook not in sections:
        raise InputError("notebook", notebook, f"one that {path.name} has a section for", nearest(notebook, sections))
    return sections[notebook]


def defaults(notebook: str) -> dict[str, Any]:
    """Return the values in a notebook's own ``parameters`` cell: they are what it takes, no more and no fewer.

    Parameters
    ----------
    notebook
        Name without suffix, as in ``"03_tune"``.

    Raises
    ------
    InputError
        If there is no such notebook, its cell is not there or not alone, lacks a parameter of `MODE`, or has anything
        but plain literals that are right.
    """
    known = notebooks()
    if notebook not in known:
        raise InputError("notebook", notebook, "one of " + ", ".join(known), nearest(notebook, known))
    text = (places.NOTEBOOKS / f"{notebook}.py").read_text(encoding="utf-8")
    cells = re.findall(r'^# %% tags=\["parameters"\]\n(.*?)(?=^# %%|\Z)', text, re.MULTILINE | re.DOTALL)
    if len(cells) != 1:
        raise InputError("parameters", len(cells), f"one cell with that tag in {notebook}")
    values: dict[str, Any] = {}
    for statement in ast.parse(cells[0]).body:
        target, _, literal = ast.unparse(statement).partition(" = ")
        try:
            values[target] = check(target, ast.literal_eval(literal))
        except (SyntaxError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            wanted = f"plain assignments of literals in {notebook}"
            raise InputError("parameters", ast.unparse(statement), wanted) from None
    for name in MODE:
        if name not in values:
            raise InputError(name, None, f"{expected(name)} (the parameters cell of {notebook} lacks it)")
    return values


def check_all(notebook: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Check parameters that a notebook is given.

    Raises
    ------
    InputError
        Unknown notebook; a name that the notebook does not take; a value that is not right.
    """
    wanted = defaults(notebook)
    for name in values:
        if name not in wanted:
            raise InputError("parameter", name, f"a parameter of {notebook}", nearest(name, wanted))
    return {name: check(name, value) for name, value in values.items()}


def budgets(profile: str) -> dict[str, float]:
    """Return the minutes that a profile grants each step, on two cores."""
    return {step: float(minutes) for step, minutes in read(path_of(profile))["budget_minutes"].items()}
