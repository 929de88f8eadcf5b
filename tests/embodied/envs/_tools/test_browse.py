"""Lists of suites and tasks, contact sheets of random play."""

import importlib.util

import numpy as np
import pytest
from PIL import Image

from embodied.core.errors import UserError
from embodied.envs._tools import browse


def test_lists_every_suite_and_what_is_missing(monkeypatch):
    text = browse.listing()
    for word in (
        "atari: Atari games",
        "catch_easy, catch_hard",
        "minatar_breakout",
        "crafter_reward",
    ):
        assert word in text
    real = importlib.util.find_spec
    hide = ("minatar", "dm_control")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in hide else real(name, *rest)
    )
    text = browse.listing()
    assert "needs: pip install 'harmony-dreamerv3[minatar]'" in text
    assert "needs: pip install 'harmony-dreamerv3[dmc]'" in text and "minatar_breakout" in text


def test_search(monkeypatch):
    assert browse.listing("tar_BREAKout").splitlines()[0] == "minatar_breakout"
    with pytest.raises(UserError, match="no task has 'zzz'"):
        browse.listing("zzz")
    real = importlib.util.find_spec
    # Whose tasks only the package knows.
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *rest: None if n == "dm_control" else real(n, *rest)
    )
    unseen = r"not installed, so not searched: dmc \(pip install 'harmony-dreamerv3\[dmc\]'\)"
    with pytest.raises(UserError, match=unseen):
        browse.listing("zzz")


@pytest.mark.parametrize("name", ["play.png", "play.gif"])
@pytest.mark.parametrize(("task", "spaces"), [
    ("catch_easy", "one-hot float32 (3,)"), ("dummy_cont", "float32 (2,) in [-1, 1]"),
])  # fmt: skip
def test_shows_random_play(name, task, spaces, tmp_path):
    text = browse.show(task, {"size": 32}, tmp_path / name, 30)
    assert spaces in text and "exact resume" in text and f"wrote {tmp_path / name}" in text
    with Image.open(tmp_path / name) as image:
        frames, size = getattr(image, "n_frames", 1), image.size
        assert image.format == name[-3:].upper() and np.asarray(image.convert("RGB")).std() > 10
    assert frames > 10 if name.endswith("gif") else size == (792, 396)


def test_without_images_or_place(tmp_path):
    text = browse.show("gym_CartPole-v1", {}, tmp_path / "x.png", 60)
    assert "no images to show" in text and "returns" in text and not (tmp_path / "x.png").exists()
    with pytest.raises(UserError, match="cannot write"):
        browse.show("catch_easy", {}, tmp_path / "no" / "x.png", 5)


def test_channels_become_colours():
    image = np.zeros((2, 2, 5), np.uint8)
    image[0, 0, 1], image[0, 1, 4], image[1, 1, 0] = 255, 255, 255
    shown = browse.colours(image)
    assert len({tuple(pixel) for pixel in shown.reshape(-1, 3).tolist()}) == 4
    assert (browse.colours(np.ones((2, 2, 3), np.float32)) == 255).all()
    assert browse.colours(np.full((2, 2, 1), 7, np.uint8)).shape == (2, 2, 3)
