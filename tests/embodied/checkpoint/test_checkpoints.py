"""Checkpoints: committed whole or not at all, checked byte by byte, and never trusted."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embodied.checkpoint import checkpoints as module
from embodied.checkpoint.checkpoints import Checkpoints
from embodied.checkpoint.files import decode
from embodied.checkpoint.manifest import Part, Saved, seal
from embodied.core.errors import UserError

ARRAYS = {"w/kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.array(7)}


def chunk(step: int) -> str:
    return f"{step:012d}.safetensors"


def part(step: int, kept: tuple[str, ...] = ()) -> Part:
    files = {"learner.safetensors": ARRAYS, "episodes.jsonl": b"{}\n" * step}
    return Part({"step": step}, files, {chunk(step): ARRAYS}, kept)


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
    for step, kept in ((1, ()), (2, (chunk(1),)), (3, (chunk(2),)), (4, ())):
        checkpoints.save(step, [part(step, kept)])
    assert steps(tmp_path) == ["000000000003", "000000000004"]
    # 3 needs 2 and 3; 1 was needed by 2, which is gone.
    found = sorted(path.name for path in (tmp_path / "replay").iterdir())
    assert found == [chunk(2), chunk(3), chunk(4)]


def test_a_second_checkpoint_of_a_step_leaves_the_first_alone(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, [tmp_path], keep=2)
    checkpoints.save(5, [part(5)])
    checkpoints.save(5, [Part({"step": "again"}, {}, {}, (chunk(5),))])
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
        checkpoints.save(step, [part(step, (chunk(1),) if step == 2 else ())] * len(folders))
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
    checkpoints.save(2, [part(2, (chunk(1),))])
    (tmp_path / "checkpoints/000000000002/manifest.json").write_bytes(b"")
    again = Checkpoints(tmp_path, [tmp_path])
    assert again.load(quiet)
    again.save(2, [part(2, (chunk(1),))])
    saved = Checkpoints(tmp_path, [tmp_path]).load()
    assert saved and saved[0].state == {"step": 2}


def test_a_replay_file_that_all_share_is_reported_as_damaged(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, [tmp_path])
    checkpoints.save(1, [part(1)])
    checkpoints.save(2, [part(2, (chunk(1),))])
    (tmp_path / "replay" / chunk(1)).write_bytes(b"")
    saved = Checkpoints(tmp_path, [tmp_path]).load(quiet)
    assert saved and saved[0].state == {"step": 2} and saved[0].damaged == {chunk(1)}


def test_none_that_is_whole_stops_the_run(tmp_path: Path) -> None:
    Checkpoints(tmp_path, [tmp_path]).save(1, [part(1)])
    (tmp_path / "checkpoints/000000000001/learner.safetensors").unlink()
    with pytest.raises(UserError, match="none of the 1 checkpoints"):
        Checkpoints(tmp_path, [tmp_path]).load(quiet)


def test_an_older_one_of_another_version_does_not_stop_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path, [tmp_path])
    monkeypatch.setattr("embodied.checkpoint.manifest.VERSION", 9)
    checkpoints.save(1, [part(1)])
    monkeypatch.undo()
    checkpoints.save(2, [part(2)])
    saved = Checkpoints(tmp_path, [tmp_path]).load()
    assert saved and saved[0].state == {"step": 2}


def test_one_that_is_forgotten_while_it_is_read_is_followed_by_the_newest(tmp_path: Path) -> None:
    training = Checkpoints(tmp_path, [tmp_path], keep=1)
    training.save(1, [part(1)])
    reading, said, seen = Checkpoints(tmp_path, [tmp_path]), [], []

    def read(saved: list[Saved]) -> bytes:
        seen.append(saved[0].state["step"])
        if len(seen) < 3:
            training.save(seen[-1] + 1, [part(seen[-1] + 1)])
        return saved[0].files["episodes.jsonl"].read_bytes()

    assert reading.take(read, said.append) == b"{}\n" * 3
    assert seen == [1, 2, 3] and not said


def test_all_that_were_listed_are_forgotten_before_they_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Checkpoints(tmp_path, [tmp_path], keep=1)
    training.save(1, [part(1)])
    reading = Checkpoints(tmp_path, [tmp_path])
    original, said = reading._read, []

    def read(name: str, lenient: bool) -> Any:
        if name.endswith("1"):
            training.save(2, [part(2)])
        return original(name, lenient)

    monkeypatch.setattr(reading, "_read", read)
    saved = reading.load(said.append)
    assert saved and saved[0].state == {"step": 2} and not said


def test_a_file_that_is_missing_from_a_checkpoint_that_stays_is_an_error(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, [tmp_path])
    checkpoints.save(1, [part(1)])
    with pytest.raises(UserError, match=r"cannot read the checkpoint.*nothing"):
        checkpoints.take(lambda saved: (tmp_path / "nothing").read_bytes())


def test_an_unknown_version_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embodied.checkpoint.manifest.VERSION", 9)
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
    alone.save(2, [part(2, (chunk(1),))])
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


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("name", ["checkpoints", "replay", "videos", "eval", "eval/videos"])
def test_folders_that_are_links_are_refused(tmp_path: Path, name: str, together: bool) -> None:
    root, victim = tmp_path / "run", tmp_path / "victim"
    folders = [root / "seed-0", root / "seed-1"] if together else [root]
    checkpoints = Checkpoints(root, folders, keep=1)
    checkpoints.save(1, [part(1)] * len(folders))
    (victim / "other").mkdir(parents=True)
    (victim / "other.safetensors").write_bytes(b"precious")
    place = folders[-1] / name
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(victim)
    with pytest.raises(UserError, match=f"{name} is a link"):
        Checkpoints(root, folders).load(quiet)
    with pytest.raises(UserError, match=f"{name} is a link"):
        checkpoints.save(2, [part(2)] * len(folders))
    assert sorted(path.name for path in victim.iterdir()) == ["other", "other.safetensors"]


@pytest.mark.parametrize("name", ["checkpoints", "seed-1", "seed-1/checkpoints/000000000001"])
def test_links_around_the_folders_of_a_population_are_refused(tmp_path: Path, name: str) -> None:
    root, folders = tmp_path / "run", [tmp_path / "run/seed-0", tmp_path / "run/seed-1"]
    Checkpoints(root, folders).save(1, [part(1), part(1)])
    (root / name).rename(tmp_path / "victim")
    (root / name).symlink_to(tmp_path / "victim")
    with pytest.raises(UserError, match=f"{name} is a link"):
        Checkpoints(root, folders).check_members()


def test_the_run_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    run = tmp_path / "run"
    run.symlink_to(tmp_path / "disk")
    checkpoints = Checkpoints(run, [run], keep=1)
    for step in (1, 2):
        checkpoints.save(step, [part(step)])
    assert Checkpoints(run, [run]).load(quiet) and steps(tmp_path / "disk") == ["000000000002"]


def test_only_names_that_the_program_gives_are_forgotten(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, [tmp_path / "a", tmp_path / "b"], keep=1)
    checkpoints.save(1, [part(1), part(1)])
    kept = ["a/checkpoints/mine/file", "a/checkpoints/1/file", "a/replay/mine.txt"]
    kept += ["a/replay/1.safetensors", "checkpoints/mine.json", "checkpoints/1.json"]
    left = ["a/replay/.000000000000.safetensors.tmp", "a/checkpoints/000000000000-01/file"]
    for name in kept + left:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    checkpoints.save(2, [part(2), part(2)])
    assert all((tmp_path / name).exists() for name in kept)
    assert not any((tmp_path / name).exists() for name in left)
    assert not (tmp_path / "a/replay" / chunk(1)).exists()


@pytest.mark.parametrize("together", [False, True])
def test_a_manifest_that_is_a_pipe_is_damaged(tmp_path: Path, together: bool) -> None:
    folders = [tmp_path / "a", tmp_path / "b"] if together else [tmp_path]
    Checkpoints(tmp_path, folders).save(1, [part(1)] * len(folders))
    manifest = folders[-1] / "checkpoints/000000000001/manifest.json"
    manifest.unlink()
    os.mkfifo(manifest)
    said: list[str] = []
    with pytest.raises(UserError, match="none of the 1"):
        Checkpoints(tmp_path, folders).load(said.append)
    assert "not a regular file" in said[0]


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
