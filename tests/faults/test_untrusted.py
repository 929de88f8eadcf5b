"""Run folders from elsewhere: refused in order, whatever they hold."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small import folders, train

from embodied.checkpoint.manifest import seal
from embodied.core.errors import UserError

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.just([[[]]]),
    st.just("../../../x"),
)
MANY = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished short run."""
    folder = tmp_path_factory.mktemp("original") / "run"
    train(folder, steps=40, save_every=20)
    return folder


def continue_copy(original: Path, target: Path, change: Any) -> None:
    """Continues a changed copy; only an error for people may stop it."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(original, target / "run")
    (target / "outside").write_bytes(b"precious")
    change(target / "run")
    with contextlib.suppress(UserError):
        train(target / "run", steps=60, save_every=20, eval_every=0, report_every=0)
    assert (target / "outside").read_bytes() == b"precious"
    assert sorted(path.name for path in target.iterdir()) == ["outside", "run"]


@MANY
@given(data=st.data())
def test_any_byte_of_any_file(data: st.DataObject, original: Path, tmp_path: Path) -> None:
    def change(folder: Path) -> None:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        path = data.draw(st.sampled_from(files))
        content = bytearray(path.read_bytes())
        if content:
            place = data.draw(st.integers(0, len(content) - 1))
            if data.draw(st.booleans()):
                content = content[:place]
            else:
                content[place] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)

    continue_copy(original, tmp_path / "copy", change)


@MANY
@given(data=st.data())
def test_any_value_of_a_state_with_right_checksums(
    data: st.DataObject, original: Path, tmp_path: Path
) -> None:
    def change(folder: Path) -> None:
        path = max(folder.glob("checkpoints/*/manifest.json"))
        body = json.loads(json.loads(path.read_bytes())["body"])
        place, spot = data.draw(st.sampled_from(list(_places(body["state"]))))
        place[spot] = data.draw(VALUES)
        path.write_bytes(seal(body))

    continue_copy(original, tmp_path / "copy", change)


@MANY
@given(content=st.binary(max_size=200), name=st.sampled_from(["learner", "loop"]))
def test_any_array_file_with_a_right_checksum(
    content: bytes, name: str, original: Path, tmp_path: Path
) -> None:
    def change(folder: Path) -> None:
        path = max(folder.glob("checkpoints/*/manifest.json"))
        body = json.loads(json.loads(path.read_bytes())["body"])
        file = path.with_name(f"{name}.safetensors")
        file.write_bytes(content)
        facts = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        body["files"][str(file.relative_to(folder))] = facts
        path.write_bytes(seal(body))

    continue_copy(original, tmp_path / "copy", change)


def test_a_shape_that_claims_a_terabyte(original: Path, tmp_path: Path) -> None:
    header = {"w": {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}}
    text = json.dumps(header).encode()
    content = len(text).to_bytes(8, "little") + text

    def change(folder: Path) -> None:
        for path in folder.glob("checkpoints/*/manifest.json"):
            body = json.loads(json.loads(path.read_bytes())["body"])
            file = path.with_name("learner.safetensors")
            file.write_bytes(content)
            facts = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            body["files"][str(file.relative_to(folder))] = facts
            path.write_bytes(seal(body))

    shutil.copytree(original, tmp_path / "run")
    change(tmp_path / "run")
    with pytest.raises(UserError, match=r"learner\.safetensors is damaged"):
        train(tmp_path / "run", steps=60)


@pytest.mark.parametrize("seeds", [(3,), (3, 4)])
@pytest.mark.parametrize("name", ["checkpoints", "replay", "videos"])
def test_a_run_with_links_writes_and_deletes_nothing_elsewhere(
    name: str, seeds: tuple[int, ...], tmp_path: Path
) -> None:
    root, victim = tmp_path / "run", tmp_path / "victim"
    train(root, steps=40, save_every=20, seeds=seeds)
    place = folders(root, seeds)[-1] / name
    place.rename(victim)  # All that the run needs is there.
    place.symlink_to(victim)
    (victim / "mine").mkdir()
    (victim / "mine.txt").write_bytes(b"precious")
    before = sorted(victim.rglob("*"))
    with pytest.raises(UserError, match=f"{name} is a link"):
        train(root, steps=80, save_every=20, seeds=seeds)
    assert sorted(victim.rglob("*")) == before


def _places(value: Any) -> Any:
    """Yields every container in nested data with each of its keys or indices."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in copy.copy(list(keys)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])
