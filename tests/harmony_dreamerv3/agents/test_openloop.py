"""Films and errors of open-loop predictions, by hand."""

import jax.numpy as jnp
import numpy as np

from harmony_dreamerv3.agents import openloop

OBSERVED = 2


def batch(first):
    """One window of six black frames, and an episode that begins at some steps."""
    steps = np.zeros((1, 6), bool)
    steps[0, first] = True
    image = np.zeros((1, 6, 16, 16, 3), np.uint8)
    return {"image": image, "is_first": steps, "reward": np.zeros((1, 6), np.float32)}


def described(first):
    white = {"image": jnp.ones((1, 6, 16, 16, 3)) * jnp.arange(6.0)[None, :, None, None, None] / 10}
    reward = jnp.arange(6.0)[None]
    return openloop.describe(batch(first), OBSERVED, white, reward, reward, reward)


def test_errors_count_predictions_of_the_same_episode():
    out = described([0])
    assert np.isclose(out["openloop/reward/error"], (2 + 3 + 4 + 5) / 4)
    assert np.isclose(out["openloop/image/error"], (0.04 + 0.09 + 0.16 + 0.25) / 4)
    out = described([0, 4])  # Steps 4 and 5 are another episode's.
    assert np.isclose(out["openloop/reward/error"], (2 + 3) / 2)
    assert np.isclose(out["openloop/image/error"], (0.04 + 0.09) / 2)
    # One that begins while the model still observes is none of its business.
    assert np.isclose(described([1])["openloop/reward/error"], 3.5)
    assert described([0, 2])["openloop/reward/error"] == 0


def test_the_film_has_edges_of_three_colours_and_stops_at_the_end():
    film = np.asarray(described([0, 4])["openloop/image/video"])
    assert film.shape == (6, 48, 16, 3) and film.dtype == np.uint8
    corners = film[:, 0, 0].tolist()
    green, red, grey = [0, 153, 76], [204, 51, 25], [127, 127, 127]
    assert corners == [green, green, red, red, grey, grey]
    middle = film[:, [8, 24, 40], 8, 0]  # Truth, model, error.
    assert middle[3].tolist() == [0, 76, 165] and middle[5].tolist() == [0, 127, 127]


def test_rows_are_named():
    film = np.asarray(described([0])["openloop/image/video"])
    named = openloop.finish({"openloop/image/video": film, "other/video": film[..., :1]})
    video = named["openloop/image/video"]
    assert video.shape == (6, 48, openloop.STRIP + 16, 3)
    assert (video[:, :, openloop.STRIP :] == film).all()
    rows = video[0, :, : openloop.STRIP].reshape(3, 16, -1)
    assert [bool(row.any()) for row in rows] == [True, True, True]
    assert not np.array_equal(rows[0], rows[1])
    assert named["other/video"].shape == (6, 48, 16, 3)
