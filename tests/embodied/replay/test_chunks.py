"""The replay on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from replays import SPACES, fill

from embodied.checkpoint.files import CorruptFile, encode
from embodied.replay import Replay, Sampling
from embodied.replay.chunks import ReplayFiles


def save(files: ReplayFiles, step: int, folder: Path) -> dict[str, object]:
    state, new, _ = files.save(step)
    for name, arrays in new.items():
        (folder / name).write_bytes(encode(arrays))
    return state


def test_files_hold_each_step_once_and_restore_the_replay(tmp_path: Path) -> None:
    replay = Replay(SPACES, 12, 2, 3, seed=1)
    files = ReplayFiles(replay)
    sizes = []
    for step, steps in enumerate((2, 3, 4, 0, 1)):
        fill(replay, steps)
        state = save(files, step, tmp_path)
        sizes.append(len(state["chunks"]))  # type: ignore[arg-type]
    # After 10 steps a ring of 6 starts at number 4: the file of numbers 0 and 1 is dead, the one
    # of 2 to 4 is not; the save without new steps wrote none.
    assert sizes == [1, 2, 2, 2, 3]
    other = Replay(SPACES, 12, 2, 3, seed=1)
    ReplayFiles(other).load(state, tmp_path)
    np.testing.assert_array_equal(other.counts, replay.counts)
    for update in range(5):
        mine, theirs = replay.sample(update, 9), other.sample(update, 9)
        assert all((mine[name] == theirs[name]).all() for name in SPACES)


def test_a_saved_replay_fits_a_larger_ring_that_was_never_full(tmp_path: Path) -> None:
    replay = Replay(SPACES, 20, 1, 3, seed=1)
    files = ReplayFiles(replay)
    fill(replay, 15)
    state = save(files, 1, tmp_path)
    larger = Replay(SPACES, 50, 1, 3, seed=1)
    ReplayFiles(larger).load(state, tmp_path)
    assert (larger.sample(3, 9)["number"] == replay.sample(3, 9)["number"]).all()


def test_steps_up_to_a_damaged_file_are_given_up(tmp_path: Path) -> None:
    replay = Replay(SPACES, 40, 2, 3, seed=1)
    files = ReplayFiles(replay)
    for step in range(4):
        fill(replay, 5)
        state = save(files, step, tmp_path)
    (tmp_path / "000000000001.safetensors").write_bytes(b"")
    other = Replay(SPACES, 40, 2, 3, seed=1)
    rest = ReplayFiles(other)
    rest.load(state, tmp_path, {"000000000001.safetensors"})
    assert other.size == 2 * 10 and other.sample(0, 200)["number"].min() == 10
    again, *_ = rest.save(9)  # It stays so in later checkpoints.
    assert again["lost"] == [10, 10] and len(again["chunks"]) == 2


@pytest.mark.parametrize(
    "arrays",
    [
        {"number": np.zeros(10, np.int32)},
        {name: np.zeros((9, *space.shape), space.dtype) for name, space in SPACES.items()},
        {name: np.zeros((10, *space.shape), np.float32) for name, space in SPACES.items()},
    ],
    ids=["names", "rows", "dtypes"],
)
def test_files_of_another_kind_are_refused(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    replay = Replay(SPACES, 20, 2, 3, seed=1)
    files = ReplayFiles(replay)
    fill(replay, 5)
    state = save(files, 0, tmp_path)
    (tmp_path / "000000000000.safetensors").write_bytes(encode(arrays))
    with pytest.raises(CorruptFile, match="expected arrays"):
        ReplayFiles(Replay(SPACES, 20, 2, 3, seed=1)).load(state, tmp_path)


def test_file_names_cannot_leave_the_folder(tmp_path: Path) -> None:
    state = {"counts": [5], "ring": 9, "lost": [0]}
    state["chunks"] = [{"name": "../x.safetensors", "first": [0], "last": [5]}]  # type: ignore
    with pytest.raises(CorruptFile, match="plain file name"):
        ReplayFiles(Replay(SPACES, 9, 1, 3, seed=1)).load(state, tmp_path)


def test_what_is_written_back_is_saved_whole(tmp_path: Path) -> None:
    def make() -> tuple[Replay, ReplayFiles]:
        replay = Replay(SPACES, 12, 2, 3, seed=1, latents=["number"])
        return replay, ReplayFiles(replay)

    replay, files = make()
    fill(replay, 9)
    _, new, _ = files.save(0)
    (tmp_path / "000000000000.safetensors").write_bytes(encode(new["000000000000.safetensors"]))
    assert "number" not in new["000000000000.safetensors"]
    steps = replay.draw(0, 3)
    replay.write_back(steps, {"number": np.full(steps.shape, -7, np.int32)})
    state, new, latents = files.save(1)
    assert not new and list(latents) == ["number"] and latents["number"].shape == (12,)
    other, rest = make()
    rest.load(state, tmp_path, latents=latents)
    mine, theirs = (each.store.read(np.arange(12)) for each in (replay, other))
    assert all((mine[name] == theirs[name]).all() for name in SPACES)
    assert (theirs["number"] == -7).any()
    with pytest.raises(CorruptFile, match="the file of latents: expected arrays"):
        make()[1].load(state, tmp_path, latents={"number": latents["number"][1:]})


@pytest.mark.parametrize("damaged", [(), ("000000000002.safetensors",)])
def test_episodes_are_found_again(damaged: tuple[str, ...], tmp_path: Path) -> None:
    def make() -> tuple[Replay, ReplayFiles]:
        replay = Replay(SPACES, 60, 2, Sampling(3, episodes=True), seed=1)
        return replay, ReplayFiles(replay)

    replay, files = make()
    for step in range(8):
        fill(replay, 5, episode=7)
        state = save(files, step, tmp_path)
        other, rest = make()
        rest.load(state, tmp_path, damaged)
        if not damaged:
            assert other.windows == replay.windows
            if replay.windows:
                np.testing.assert_array_equal(other.draw(step, 9), replay.draw(step, 9))
    steps = other.draw(0, 500)
    number, stream = steps // 2, steps % 2
    place = (number + stream) % 7
    assert (np.diff(place, axis=1) == 1).all()  # Within one episode.
    assert number.min() >= (15 if damaged else replay.oldest.min())
    fill(other, 20, episode=7)
    fill(replay, 20, episode=7)
    assert other.windows == replay.windows == 6
