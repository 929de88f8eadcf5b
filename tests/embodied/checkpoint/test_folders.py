"""A run writes and deletes inside its folder alone, and only what it wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from embodied.checkpoint.folders import check_inside, check_run, forget
from embodied.core.errors import UserError

STEPS = ("000000000010", "000000000020", "000000000020-01")


@pytest.mark.parametrize("name", ["checkpoints", "replay", "videos", "eval", "eval/videos"])
def test_links_and_files_in_place_of_folders_are_refused(tmp_path: Path, name: str) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (run / name).parent.mkdir(parents=True)
    check_run(run)  # What is not there is fine.
    (run / name).symlink_to(elsewhere)
    with pytest.raises(UserError, match=rf"{name} is a link"):
        check_run(run)
    (run / name).unlink()
    (run / name).touch()
    with pytest.raises(UserError, match=rf"{name} is not a folder"):
        check_run(run)


def test_a_checkpoint_may_be_no_link_but_the_run_folder_may(tmp_path: Path) -> None:
    (tmp_path / "real" / "checkpoints").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    check_run(tmp_path / "link")
    (tmp_path / "real" / "checkpoints" / STEPS[0]).symlink_to(tmp_path)
    with pytest.raises(UserError, match=f"{STEPS[0]} is a link"):
        check_run(tmp_path / "link")
    check_inside(tmp_path / "real", ["videos"])


def test_only_what_the_program_names_is_forgotten(tmp_path: Path) -> None:
    chunks = [f"{number:012d}.safetensors" for number in range(3)]
    for folder in ("checkpoints", "replay"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "notes.txt").touch()
    for step in (*STEPS, "mine"):
        (tmp_path / "checkpoints" / step).mkdir()
        (tmp_path / "checkpoints" / step / "manifest.json").touch()
    for chunk in (*chunks, f".{chunks[0]}.tmp", "1.safetensors"):
        (tmp_path / "replay" / chunk).touch()
    forget(tmp_path, [STEPS[2]], [chunks[1]])
    left = {folder: sorted(p.name for p in (tmp_path / folder).iterdir())
            for folder in ("checkpoints", "replay")}  # fmt: skip
    assert left["checkpoints"] == [STEPS[2], "mine", "notes.txt"]
    assert left["replay"] == [chunks[1], "1.safetensors", "notes.txt"]
