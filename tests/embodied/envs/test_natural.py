"""Natural backgrounds: the mask's shares, the film's clock, videos of a folder, splits."""

import cv2
import numpy as np
import pytest

import embodied.envs
from embodied.core.errors import UserError
from embodied.envs import dmc, natural
from embodied.envs._tools import textures

pytest.importorskip("dm_control")
pytestmark = pytest.mark.filterwarnings("default")  # MuJoCo's Python packages warn as they like.

# Shares of the mask at the start pose, 64x64, mujoco 3.3.0.
SHARES = {"cheetah_run": 0.82, "walker_run": 0.58, "hopper_hop": 0.74, "cartpole_swingup": 0.97,
          "ball_in_cup_catch": 0.99, "finger_spin": 0.93, "reacher_easy": 0.91}  # fmt: skip


@pytest.fixture
def films(tmp_path):
    """Ten short videos, each of one brightness that names it."""
    for number in range(10):
        path = str(tmp_path / f"film{number}.avi")
        film = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 10, (80, 48))
        for _ in range(5):
            film.write(np.full((48, 80, 3), 20 * number + 10, np.uint8))
        film.release()
    return tmp_path


def test_blend_takes_the_frame_where_blue_is_strictly_most():
    image = np.array([[[9, 9, 10], [9, 10, 10], [10, 9, 10], [0, 0, 0], [5, 6, 7]]], np.uint8)
    frame = np.full((1, 5, 1), 77, np.uint8)
    blended = natural.blend(image, frame)
    assert (blended[0, [0, 4]] == 77).all()
    np.testing.assert_array_equal(blended[0, 1:4], image[0, 1:4])


@pytest.mark.parametrize("task", ["walker_run", "finger_spin"])
def test_shares_and_robots(task):
    check_share(task)


@pytest.mark.slow
@pytest.mark.parametrize("task", SHARES)
def test_shares_of_all(task):
    check_share(task)


def check_share(task):
    env = natural.Natural(task, 0, natural.Options(frames=30))
    plain = dmc.DMC._obs(env, {}, {})["image"]
    mask = (plain[..., 2] > plain[..., 1]) & (plain[..., 2] > plain[..., 0])
    assert abs(mask.mean() - SHARES[task]) < 0.02
    image = env._obs({}, {})["image"]
    np.testing.assert_array_equal(image[~mask], plain[~mask])
    assert (image[mask] == image[mask][:, :1]).all()  # Grey.
    env.close()


def test_the_films_clock():
    env = natural.Natural("cartpole_swingup", 3, natural.Options(frames=7, repeat=500))
    start = env._clock
    sky = []
    for step in range(12):  # Two steps and a reset each episode.
        sky.append(env.step(np.zeros(1, np.float32))["image"][0, 0, 0])
        assert env._clock == (start + step + 1) % 7
    assert sky[:5] == sky[7:]
    np.testing.assert_array_equal(sky[:7], np.roll(env._film, -start - 1, 0)[:, 0, 0, 0])
    env.close()


def test_resume(check_resume, check_seeds):
    options = {"frames": 40, "repeat": 100}
    check_resume("natural_cartpole_swingup", options, 7, 15)
    check_seeds("natural_cartpole_swingup", options, 3)


def test_videos_of_a_folder_are_split_and_shuffled(films):
    shown = {}
    for split in ("train", "test", "all"):
        options = natural.Options(videos=str(films), split=split, frames=1000)
        frames = natural.load_frames(options, np.random.default_rng(0))
        assert frames.shape == (1000, 64, 64, 1)
        shown[split] = {round((value - 10) / 20) for value in frames[:, 32, 32, 0].tolist()}
        others = natural.load_frames(options, np.random.default_rng(1))
        assert (frames != others).any()
    assert shown == {"train": {0, 1, 2, 3, 5, 6, 7, 8}, "test": {4, 9}, "all": set(range(10))}
    for name in ("train", "test"):
        (films / name).mkdir()
    (films / "film0.avi").rename(films / "test" / "film0.avi")
    (films / "film1.avi").rename(films / "train" / "film1.avi")
    for split, number in (("train", 1), ("test", 0)):
        options = natural.Options(videos=str(films), split=split, gray=False, frames=10)
        frames = natural.load_frames(options, np.random.default_rng(0))
        assert frames.shape == (10, 64, 64, 3) and abs(frames.mean() - 20 * number - 10) < 3


def test_evaluations_show_other_films():
    settings = {"natural": vars(natural.Options())}
    train = embodied.envs.options_of("natural_walker_run", settings)
    test = embodied.envs.options_of("natural_walker_run", settings, True)
    assert (train["split"], test["split"]) == ("train", "test")
    a, b = (
        natural.clips(natural.Options(split="train")),
        natural.clips(natural.Options(split="test")),
    )
    assert not set(a) & set(b)
    assert (textures.scene("train", 0, 3) != textures.scene("test", 0, 3)).any()


def test_generated_scenes_are_marked():
    assert "generated" in embodied.envs.note("natural_walker_run", {})
    assert "videos of X" in embodied.envs.note("natural_walker_run", {"videos": "X"})
    assert embodied.envs.note("dummy_disc", {}) == ""
    env = embodied.envs.make("natural_cartpole_swingup", 0, {"frames": 2})
    assert env.step(None)["log_generated_background"] == 1
    env.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"videos": "/nowhere/at/all"}, "no video .* of the split 'train'"),
        ({"split": "trian"}, "did you mean 'train'"),
        ({"frames": 0}, "env.natural.frames must be at least 1"),
    ],
)
def test_mistakes(options, words, tmp_path):
    with pytest.raises(UserError, match=words):
        embodied.envs.make("natural_walker_run", 0, options)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "broken2.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match=r"broken2?\.mp4 cannot be read as a video"):
        embodied.envs.make("natural_walker_run", 0, {"videos": str(tmp_path)})
