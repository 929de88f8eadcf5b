"""Inputs that once broke a reader of untrusted files, and what fuzzing does not think of."""

from __future__ import annotations

from pathlib import Path

import pytest
import targets

from embodied.core.errors import UserError

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
    ],
    ids=["bomb", "cycle", "deep", "large", "scalar", "kind", "open", "tag"],
)  # fmt: skip
def test_hostile_configurations(text: str, part: str) -> None:
    with pytest.raises(UserError, match=part):
        targets.config(text.encode())
