"""The configs of run folders: their scalars, and how those of two sets differ."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embodied.checkpoint.files import CorruptFile, read_regular
from scores.grid import Cell, Grid
from scores.records import Problem

if TYPE_CHECKING:
    from scores.load import Group

MAX_CONFIG = 2**18  # bytes
MOST = 10  # configs read of one side: parsing one takes tens of milliseconds
MAX_SHOWN = 60  # letters of one value


def config_file(path: Path) -> Path:
    """Returns where a run folder's config is.

    In it, or in the folder `.hydra` of it or of its parent; `seed-<s>` and `eval` take their
    parent's.
    """
    own = path / "config.yaml"
    if not own.exists() and (path.name.startswith("seed-") or path.name == "eval"):
        return config_file(path.parent)
    hydra = (above / ".hydra" / "config.yaml" for above in (path, path.parent))
    return own if own.exists() else next((file for file in hydra if file.is_file()), own)


def settings(path: Path) -> dict[str, str]:
    """Returns the scalars of a run folder's config by dotted key; empty if there is none.

    Reads the plain yaml that configs are written in, by indentation: parsing it whole costs 50 ms
    a run, in a sweep of 260. Lists and quoted blocks are passed over.
    """
    file = config_file(path)
    if not file.is_file():  # A pipe would never end.
        return {}
    try:
        with open(file, encoding="utf-8", errors="replace") as stream:
            text = stream.read(MAX_CONFIG)
    except OSError:
        return {}
    scalars: dict[str, str] = {}
    above: list[tuple[int, str]] = []  # indentation and dotted key of the mappings around a line
    text = re.sub(r"\{[^{}]*\}", lambda flow: re.sub(r"\s+", " ", flow.group()), text)
    for line in re.finditer(r"^( *)([\w.-]+):[ \t]*(.*?)[ \t]*(?:\s#.*)?$", text, re.MULTILINE):
        depth, value = len(line[1]), line[3].strip("'\"")
        while above and above[-1][0] >= depth:
            above.pop()
        key = f"{above[-1][1]}.{line[2]}" if above else line[2]
        if value.startswith("{"):
            flow = re.findall(r"([\w.-]+):\s*([^\s,{}\[\]][^,{}\[\]]*)", value)
            scalars |= {f"{key}.{name}": entry.strip(" '\"") for name, entry in flow}
        elif value:
            scalars[key] = value
        else:
            above.append((depth, key))
    return scalars


def differences(a: Group, b: Group) -> tuple[Grid | None, list[Problem]]:
    """Compares the configs behind two groups of run folders; other groups have none.

    Returns:
      A grid with one row for each key whose values differ (None: not both have configs), and
      what could not be read.
    """
    problems: list[Problem] = []
    left, right = (_values(group, problems) for group in (a, b))
    if not left or not right:
        return None, problems
    keys = sorted(key for key in {*left, *right} if left.get(key) != right.get(key))
    rows = [[Cell(key), Cell(_text(left, key)), Cell(_text(right, key))] for key in keys]
    notes = ["–: the config has no such key." if rows else "The configs are equal."]
    if max(len(a.runs), len(b.runs)) > MOST:
        notes.append(f"Read from {MOST} runs of each side, spread over all.")
    return Grid("Config differences", ["Key", a.name, b.name], [rows], notes), problems


def _values(group: Group, problems: list[Problem]) -> dict[str, list[Any]]:
    """Returns the different values of each key over a group's runs, in order of appearance."""
    folders = [Path(run.path) for run in group.runs if Path(run.path).is_dir()]
    values: dict[str, list[Any]] = {}
    for folder in folders[:: max(1, -(-len(folders) // MOST))]:
        file = config_file(folder)
        try:
            flat = flatten(_parse(file))
        except ValueError as error:
            problems.append(Problem(str(file), str(error)))
            continue
        for key, value in flat.items():
            if value not in values.setdefault(key, []):
                values[key].append(value)
    return values


def _parse(file: Path) -> Any:
    from embodied.core.foreign_yaml import load_foreign  # Lazy: only this verb needs ruamel.

    try:
        return load_foreign(read_regular(file, MAX_CONFIG).decode("utf-8"))
    except CorruptFile as error:
        raise ValueError(f"{error}; no config is") from error
    except (OSError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"cannot be read as YAML ({reason})") from error


def flatten(config: Any) -> dict[str, Any]:
    """Flattens nested mappings: {'a': {'b': 1}} -> {'a.b': 1}; lists are values.

    Raises:
      ValueError: no mapping.
    """
    if not isinstance(config, dict):
        raise ValueError("expected a mapping of keys to values")
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            flat |= {f"{key}.{name}": entry for name, entry in flatten(value).items()}
        else:
            flat[str(key)] = value
    return flat


def _text(values: dict[str, list[Any]], key: str) -> str:
    line = ", ".join(str(value) for value in values.get(key, ["–"]))
    return line if len(line) <= MAX_SHOWN else line[: MAX_SHOWN - 3] + "..."


def records(grid: Grid) -> list[dict[str, str]]:
    """Returns the differences as flat records, for JSON."""
    return [dict(zip(("key", "a", "b"), (cell.text for cell in row))) for row in grid.blocks[0]]
