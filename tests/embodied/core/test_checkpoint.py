"""Checkpoints: committed whole or not at all, checked byte by byte, and never trusted."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embodied.core import checkpoint as module
from embodied.core.checkpoint import Checkpoints, Part
from embodied.core.errors import UserError
from embodied.core.files import decode
from embodied.core.manifest import seal

ARRAYS = {"w/kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.array(7)}


def part(step: int, kept: tuple[str, ...] = ()) -> Part:
    files = {"learner.safetensors": ARRAYS, "episodes.jsonl": b"{}\n" * step}
    return Part({"step": step}, files, {f"{step}.safetensors": ARRAYS}, kept)


def steps(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def quiet(_: str) -> None:
    pass


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    Checkpoints(tmp_path, [tmp_path]).save(5, [part(5)])
    saved = Checkpoints(tmp_path, [tmp_path]).load()
    assert saved is not None and saved[0].state == {"step": 5}
    path = saved[0].files["learner.safetensors"]
    found = decode(path.read_bytes(), path)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)
    assert saved[0].files["episodes.jsonl"].read_bytes() == b"{}\n" * 5


def test_an_empty_folder_has_none(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path, [tmp_path]).load() is None


def test_the_newest_are_kept_with_the_replay_files_they_need(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, [tmp_path], keep=2)
    for step, kept in ((1, ()), (2, ("1.safetensors",)), (3, ("2.safetensors",)), (4, ())):
        checkpoints.save(step, [part(step, kept)])
    assert steps(tmp_path) == ["000000000003", "000000000004"]
    # 3 needs 2 and 3; 1 was needed by 2, which is gone.
    found = sorted(path.name for path in (tmp_path / "replay").iterdir())
    assert found == ["2.safetensors", "3.safetensors", "4.safetensors"]


def test_a_second_checkpoint_of_a_step_leaves_the_first_alone(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, [tmp_path], keep=2)
    checkpoints.save(5, [part(5)])
    checkpoints.save(5, [Part({"step": "again"}, {}, {}, ("5.safetensors",))])
    assert steps(tmp_path) == ["000000000005", "000000000005-01"]
    saved = Checkpoints(tmp_path, [tmp_path]).load()
    assert saved and saved[0].state == {"step": "again"}


def test_a_process_that_dies_between_any_two_writes_leaves_a_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Death(BaseException):
        pass

    original, left = module.write_atomic, [0]

    def write(path: Path, data: bytes) -> None:
        if not left[0]:
            raise Death
        left[0] -= 1
        original(path, data)

    folders = [tmp_path / "a", tmp_path / "b"]
    left[0] = 100
    monkeypatch.setattr(module, "write_atomic", write)
    first = Checkpoints(tmp_path, folders)
    first.save(1, [part(1), part(1)])
    found = []
    for writes in range(9):
        checkpoints = Checkpoints(tmp_path, folders)
        assert checkpoints.load()
        left[0] = writes
        with pytest.raises(Death):
            checkpoints.save(2, [part(2), part(2)])
        saved = Checkpoints(tmp_path, folders).load()
        assert saved is not None
        found.append([part.state["step"] for part in saved])
    # 4 writes for each folder, then the one that commits both.
    assert found == [[1, 1]] * 9
    left[0] = 9
    checkpoints.save(2, [part(2), part(2)])
    saved = Checkpoints(tmp_path, folders).load()
    assert saved and [part.state["step"] for part in saved] == [2, 2]


@pytest.mark.parametrize("together", [False, True])
def test_truncation_at_any_byte_falls_back_and_says_so(tmp_path: Path, together: bool) -> None:
    folders = [tmp_path / "seed-0", tmp_path / "seed-1"] if together else [tmp_path]
    checkpoints = Checkpoints(tmp_path, folders)
    for step in (1, 2):
        checkpoints.save(step, [part(step, ("1.safetensors",) if step == 2 else ())] * len(folders))
    newest = [path for path in tmp_path.rglob("*2*") if path.is_file()]
    newest += [path for path in tmp_path.rglob("*2*/*") if path.is_file()]
    assert len(newest) == (9 if together else 4)
    for path in newest:
        data = path.read_bytes()
        for size in {0, 1, len(data) // 2, len(data) - 1}:
            path.write_bytes(data[:size])
            said: list[str] = []
            saved = Checkpoints(tmp_path, folders).load(said.append)
            assert saved and saved[0].state == {"step": 1}, path
            assert len(said) == 1 and "step 2 is not whole" in said[0]
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 1
        path.write_bytes(flipped)
        saved = Checkpoints(tmp_path, folders).load(quiet)
        assert saved and saved[0].state == {"step": 1}, path
        path.write_bytes(data)
    saved = Checkpoints(tmp_path, folders).load()
    assert saved and saved[0].state == {"step": 2}


def test_a_damaged_newest_one_is_replaced_by_the_next_save(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, [tmp_path])
    checkpoints.save(1, [part(1)])
    checkpoints.save(2, [part(2, ("1.safetensors",))])
    (tmp_path / "checkpoints/000000000002/manifest.json").write_bytes(b"")
    again = Checkpoints(tmp_path, [tmp_path])
    assert again.load(quiet)
    again.save(2, [part(2, ("1.safetensors",))])
    saved = Checkpoints(tmp_path, [tmp_path]).load()
    assert saved and saved[0].state == {"step": 2}


def test_a_replay_file_that_all_share_is_reported_as_damaged(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, [tmp_path])
    checkpoints.save(1, [part(1)])
    checkpoints.save(2, [part(2, ("1.safetensors",))])
    (tmp_path / "replay/1.safetensors").write_bytes(b"")
    saved = Checkpoints(tmp_path, [tmp_path]).load(quiet)
    assert saved and saved[0].state == {"step": 2} and saved[0].damaged == {"1.safetensors"}


def test_none_that_is_whole_stops_the_run(tmp_path: Path) -> None:
    Checkpoints(tmp_path, [tmp_path]).save(1, [part(1)])
    (tmp_path / "checkpoints/000000000001/learner.safetensors").unlink()
    with pytest.raises(UserError, match="none of the 1 checkpoints"):
        Checkpoints(tmp_path, [tmp_path]).load(quiet)


def test_an_unknown_version_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embodied.core.manifest.VERSION", 9)
    Checkpoints(tmp_path, [tmp_path]).save(1, [part(1)])
    monkeypatch.undo()
    with pytest.raises(UserError, match="format version 9, this program reads version 1"):
        Checkpoints(tmp_path, [tmp_path]).load()


def test_members_of_different_checkpoints_are_not_mixed(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    checkpoints = Checkpoints(tmp_path, folders)
    checkpoints.save(1, [part(1), part(1)])
    # One member went on alone: what it wrote was never committed with the other's.
    alone = Checkpoints(folders[0], [folders[0]])
    alone.load()
    alone.save(2, [part(2, ("1.safetensors",))])
    saved = Checkpoints(tmp_path, folders).load()
    assert saved and [part.state["step"] for part in saved] == [1, 1]


def test_a_refusing_disk_is_an_error_that_leaves_the_last_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path, [tmp_path])
    checkpoints.save(1, [part(1)])

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_atomic", full)
    with pytest.raises(UserError, match=r"No space left on device.*step 1 stays"):
        checkpoints.save(2, [part(2)])
    monkeypatch.undo()
    saved = Checkpoints(tmp_path, [tmp_path]).load()
    assert saved and saved[0].state == {"step": 1}


@pytest.mark.parametrize(
    "name", ["../../secret", "/etc/passwd", "replay/../../secret", "checkpoints/000000000001/a/b"]
)
def test_a_manifest_cannot_name_files_elsewhere(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    Checkpoints(folder, [folder]).save(1, [part(1)])
    (tmp_path / "secret").write_bytes(b"x")
    forge(folder, {"files": {name: {"bytes": 1, "sha256": "0"}}, "state": {}})
    with pytest.raises(UserError, match="none of the"):
        Checkpoints(folder, [folder]).load(quiet)
    assert (tmp_path / "secret").exists()


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    Checkpoints(folder, [folder]).save(1, [part(1)])
    inside = folder / "checkpoints/000000000001/learner.safetensors"
    shutil.move(inside, tmp_path / "outside")
    os.symlink(tmp_path / "outside", inside)
    with pytest.raises(UserError, match="none of the"):
        Checkpoints(folder, [folder]).load(quiet)


def forge(folder: Path, body: dict[str, Any]) -> None:
    (folder / "checkpoints/000000000001/manifest.json").write_bytes(seal(body))


def test_manifests_of_any_shape_are_refused_in_order(tmp_path: Path) -> None:
    Checkpoints(tmp_path, [tmp_path]).save(1, [part(1)])
    path = tmp_path / "checkpoints/000000000001/manifest.json"
    deep = b'{"version": 1, "sha256": "", "body": ' + b"[" * 100_000
    texts = [b"null", b"[]", b"{}", b"\xff", deep, json.dumps({"version": 1}).encode()]
    for text in [*texts, seal({}), seal({"files": [], "state": {}})]:
        path.write_bytes(text)
        with pytest.raises(UserError, match="none of the 1"):
            Checkpoints(tmp_path, [tmp_path]).load(quiet)
