"""Inputs that once broke a reader of untrusted files, and what fuzzing does not think of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import targets

from embodied.core.errors import UserError
from embodied.core.foreign_yaml import load_foreign
from harmony_dreamerv3 import config as configs

INPUTS = sorted((Path(__file__).parent / "inputs").glob("*/*"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name[-8:]}")
def test_inputs_that_broke_a_reader_once(path: Path) -> None:
    try:
        targets.TARGETS[path.parent.name](path.read_bytes())
    except UserError as error:
        assert str(error)


@pytest.mark.parametrize("name", [name for name in targets.TARGETS if name != "flag"])
def test_some_example_of_every_target_is_accepted(name: str) -> None:
    accepted = 0
    for data in targets.examples(name):
        try:
            targets.TARGETS[name](data)
            accepted += 1
        except UserError:
            pass
    assert accepted


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a0: &a0 {x: 1}\n" + "".join(
            f"a{n}: &a{n} {{{', '.join(f'k{m}: *a{n - 1}' for m in range(10))}}}\n"
            for n in range(1, 10)
        ), "more than 10000 values"),
        ("a: &a {b: *a}", "more than 10000 values"),
        ("[" * 100_000, "cannot read"),
        ("a: " + "1" * 2**20, "larger than"),
        ("rssm: 1\nrssm.deter: 2", "unknown key 'rssm'"),
        ("run: {steps: []}", "run.steps: expected int"),
        ("balance: {tasks: 3}", "expected a mapping"),
        ("task: !!python/object/apply:os.system [id]", "cannot read"),
        ("a0: &a0 {x: 1}\n" + "".join(
            f"a{n}: &a{n} {{<<: [{', '.join(10 * [f'*a{n - 1}'])}]}}\n" for n in range(1, 12)
        ), "merge keys"),
        ("a: &a {x: 1}\nb: {!!merge x: *a}", "merge keys"),
        ("a: &a [1]\n? [*a, *a]\n: 1", "a key in it is a list"),
        ("%YAML 1.1\n---\na: 1" + ":59" * 20_000, "more than 2000 characters"),
        ("a: [" + "1, " * 300_000 + "]", "more than 10000 values"),
        ("a0: &a0 []\n" + "".join(
            f"a{n}: &a{n} [{', '.join(10 * [f'*a{n - 1}'])}]\n" for n in range(1, 10)
        ), "more than 10000 values"),
    ],
    ids=[
        "bomb", "cycle", "deep", "large", "scalar", "kind", "open", "tag", "merge", "merge-tag",
        "key", "digits", "many", "empty",
    ],
)  # fmt: skip
def test_hostile_configurations(text: str, part: str) -> None:
    with pytest.raises(UserError, match=part):
        targets.config(text.encode())


def test_a_configuration_that_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.yaml")
    with pytest.raises(UserError, match="not a regular file"):
        configs.read_yaml(tmp_path / "config.yaml")


def test_aliases_are_fine_in_moderation() -> None:
    text = "a: &a {x: [1, 2], y: &y z}\nb: *a\nc: [*a, *y]"
    assert load_foreign(text) == {
        "a": {"x": [1, 2], "y": "z"},
        "b": {"x": [1, 2], "y": "z"},
        "c": [{"x": [1, 2], "y": "z"}, "z"],
    }
