"""Buffers go to disk and come back; a run's replay is one."""

import numpy as np
import pytest

from embodied.checkpoint.checkpoints import Checkpoints
from embodied.checkpoint.files import encode
from embodied.checkpoint.manifest import Part
from embodied.core.errors import UserError
from embodied.core.space import Space
from embodied.replay import Replay
from embodied.replay.chunks import ReplayFiles
from harmony_dreamerv3.config import dump, folder
from lab import buffer as buffers


def test_exported_buffer_is_read_again(make_buffer, tmp_path):
    before = make_buffer([7, 5], [12])
    buffers.write(before, tmp_path / "b")
    for source in (tmp_path / "b", tmp_path / "b" / buffers.FILE):
        after = buffers.read(source)
        assert after.ends == before.ends == (12, 24)
        assert after.config == before.config
        assert set(after.arrays) == set(before.arrays)
        for key, array in before.arrays.items():
            np.testing.assert_array_equal(after.arrays[key], array)
    with pytest.raises(UserError, match="not empty"):
        buffers.write(before, tmp_path / "b")


def test_spaces_come_from_the_arrays(make_buffer):
    buffer = make_buffer([7], image=16)
    assert buffer.obs_space["image"].shape == (16, 16, 3)
    assert "action" not in buffer.obs_space
    assert buffer.act_space["action"].discrete
    buffer.arrays["action"][3] = 0.5
    assert not buffer.act_space["action"].discrete


def test_replay_of_a_run_in_the_order_of_time(make_buffer, tmp_path):
    """Two streams in rings of eight, written over two checkpoints until they wrapped."""
    text = f"format: {folder.VERSION}\n" + dump(make_buffer([7]).config)
    (tmp_path / "config.yaml").write_text(text)
    kinds = {"is_first": bool, "is_last": bool, "is_terminal": bool, "reward": np.float32}
    spaces = {key: Space(kind) for key, kind in kinds.items()}
    spaces["action"] = Space(np.float32, (2,))
    replay = Replay(spaces, 16, 2, 4, 0)
    files = ReplayFiles(replay)
    checkpoints = Checkpoints(tmp_path, [tmp_path])
    for step in range(11):
        values = {key: np.zeros((2, *space.shape), space.dtype) for key, space in spaces.items()}
        values["reward"][:] = [step, 100 + step]
        replay.insert(values)
        if step in (5, 10):
            state, new, _ = files.save(step)
            kept = [chunk["name"] for chunk in state["chunks"] if chunk["name"] not in new]
            part = Part({"replay": state}, {}, new, kept)
            checkpoints.save(step, [part])
    found = buffers.read(tmp_path)
    assert found.ends == (8, 16)
    assert found.arrays["reward"].tolist() == [*range(3, 11), *range(103, 111)]


def test_what_is_no_buffer_is_refused(make_buffer, tmp_path):
    with pytest.raises(UserError, match=r"config\.yaml"):
        buffers.read(tmp_path)
    buffer = make_buffer([7])
    buffers.write(buffer, tmp_path / "b")
    file = tmp_path / "b" / buffers.FILE
    few = {key: array for key, array in buffer.arrays.items() if key != "reward"}
    file.write_bytes(encode(few))
    with pytest.raises(UserError, match="lacks the key 'reward'"):
        buffers.read(tmp_path / "b")
    file.write_bytes(encode({**buffer.arrays, "state": np.zeros((3, 2))}))
    with pytest.raises(UserError, match="as many rows each"):
        buffers.read(tmp_path / "b")
    file.write_bytes(b"nonsense")
    with pytest.raises(UserError, match="is damaged"):
        buffers.read(tmp_path / "b")
    file.unlink()
    with pytest.raises(UserError, match="holds no replay"):
        buffers.read(tmp_path / "b")
    (tmp_path / "seed-3").mkdir()
    (tmp_path / "seed-3" / "config.yaml").write_text("")
    with pytest.raises(UserError, match="seed-3"):
        buffers.read(tmp_path)
