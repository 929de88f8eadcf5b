"""One name for all spellings: of tasks, and of the columns and keys of other people's files."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from importlib import resources
from typing import Any

from scores.records import printable

_ID = re.compile(r"(gym_)?(ALE/)?([A-Za-z0-9_]+?)(NoFrameskip|Deterministic)?-v(\d+)", re.ASCII)


@functools.cache
def data(name: str) -> Any:
    """Returns the content of `data/<name>.json`."""
    return json.loads((resources.files(__package__) / "data" / f"{name}.json").read_text("utf-8"))


@functools.lru_cache(maxsize=4096)
def normalise(name: str) -> str:
    """Returns one name for all spellings of a task.

    `jamesbond`, `james_bond`, `James Bond`, `atari_jamesbond`, `atari100k_jamesbond` and
    `JamesbondNoFrameskip-v4` are all `jamesbond`; `walker-walk` and `dmc_walker_walk` are
    `dmc_walker_walk`, `cup_catch` is `dmc_ball_in_cup_catch`. An Atari game outside of the 26
    becomes `atari_<name>`. What else is none of these is kept.

    `ALE/Jamesbond-v5` and whatever the `gym_` suite plays are other environments than Atari
    100K's (sticky actions, or no frame skip): they keep a name of their own.
    """
    name = name.strip()
    if is_aggregate(name):
        return printable(name)
    spelled = _ID.fullmatch(name)
    if spelled:
        gym, ale, game, wrapper, version = spelled.groups()
        known = _letters(game) in _games()
        if wrapper is None and (ale or known) and version in ("0", "5"):
            return printable(f"ALE/{game}-v{version}")
        if gym and (ale or wrapper or known):
            return printable(name)
    bare, atari = re.subn(r"^(ALE/|atari(100k)?[-_/])", "", name, flags=re.IGNORECASE)
    letters = _letters(re.sub(r"(NoFrameskip|Deterministic)?(-v\d+)?$", "", bare))
    if letters in _games():
        return _games()[letters]
    if atari:
        return f"atari_{letters}"
    control = _letters(re.sub(r"^(dmc|dm_control)[-_/]", "", name, flags=re.IGNORECASE))
    return _control().get(control) or printable(name)


def frameskip(game: str) -> int:
    """Returns the frames that one step of a canonical game plays inside: 4 for `ALE/*-v5`, or 1."""
    return 4 if re.fullmatch(r"ALE/.+-v5|gym_.+Deterministic-v\d", game) else 1


def is_aggregate(name: str) -> bool:
    """Returns whether a task is a statistic over tasks, such as `atari_stats_mean` or `Median`."""
    bare = re.sub(r"^(atari(57|100k)?|dmc|gym)[-_/]", "", name.strip().lower())
    words = set(re.findall(r"[a-z]+", bare))
    statistic, about = (set(data("names")[key]) for key in ("statistics", "about"))
    if bare.startswith("stats_") or _letters(bare) in data("names")["aggregates"]:
        return True
    return bool(words & statistic) and words <= statistic | about


def is_known(name: str) -> bool:
    """Returns whether a name is a task that we know: an Atari game or one of dm_control."""
    game = normalise(name)
    return game in _games().values() or game.startswith(("atari_", "ALE/", "dmc_"))


def task_of(stem: str, folder: str) -> tuple[str, str]:
    """Returns method and task of a file such as `tdmpc2/walker-walk` or `tdmpc2-walker-walk`.

    The task is empty where the stem does not end in one that is known; the folder is the method
    where the stem is the task alone.
    """
    parts = re.split(r"([-_ ])", stem)
    for start in range(0, len(parts), 2):
        task = "".join(parts[start:])
        if is_known(task):
            return "".join(parts[: max(0, start - 1)]) or folder, task
    return stem, ""


def columns(header: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Recognises columns by their usual names.

    Returns:
      Meaning (`game`, `seed`, `frames`, ...; see data/names.json) -> the first such column, and
      the columns whose name says nothing to us.
    """
    meanings: dict[str, str] = {}
    strange = []
    for column in header:
        meaning = _meanings().get(_letters(column))
        if meaning is None:
            strange.append(column)
        else:
            meanings.setdefault(meaning, column)
    return meanings, strange


def _letters(name: str) -> str:
    letters = re.sub(r"[\W_]", "", name).lower()
    return "choppercommand" if letters == "choppercom" else letters  # Table 2 shortens it.


@functools.cache
def _meanings() -> dict[str, str]:
    usual = data("names")["columns"].items()
    return {_letters(spelling): meaning for meaning, names in usual for spelling in names}


@functools.cache
def _games() -> dict[str, str]:
    return {_letters(name): name for name in data("atari100k")["games"]}


@functools.cache
def _control() -> dict[str, str]:
    tasks = {_letters(name): f"dmc_{name}" for name in data("names")["dmc"]}
    return tasks | {_letters(k): f"dmc_{v}" for k, v in data("names")["short"].items()}
