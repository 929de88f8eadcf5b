"""Generated pictures: the statistics of the photographs they stand for, the same everywhere."""

import numpy as np

from embodied.envs._tools import textures


def test_skies_have_the_statistics_of_the_photographs():
    skies = np.stack([textures.sky(n, 64) for n in range(textures.SKIES)]) / 255
    np.testing.assert_allclose(skies.mean((0, 1, 2)), [0.44, 0.47, 0.44], atol=0.05)
    np.testing.assert_allclose(skies.mean((1, 2)).std(0), [0.15, 0.14, 0.17], atol=0.05)
    np.testing.assert_allclose(skies.std((1, 2)).mean(0), [0.22, 0.19, 0.24], atol=0.06)
    quarters = skies.reshape(-1, 4, 16, 64, 3).mean((0, 2, 3, 4))
    np.testing.assert_allclose(quarters, [0.54, 0.52, 0.40, 0.34], atol=0.06)


def test_floors_have_the_statistics_of_the_photographs():
    floors = np.stack([textures.floor(n, 64) for n in range(0, textures.FLOORS, 3)]) / 255
    np.testing.assert_allclose(floors.mean((0, 1, 2)), [0.55, 0.52, 0.41], atol=0.03)
    np.testing.assert_allclose(floors.mean((1, 2)).std(0), [0.08, 0.07, 0.11], atol=0.025)
    assert abs(floors.std((1, 2)).mean() - 0.08) < 0.02
    assert sum(count for _, count, _ in textures._KINDS) == textures.FLOORS


def test_a_number_means_the_same_picture():
    np.testing.assert_array_equal(textures.floor(7), textures.floor(7 + textures.FLOORS))
    assert (textures.floor(7) != textures.floor(8)).any()
    # Pictures of version 1, so that a visual seed means the same look everywhere.
    means = [textures.sky(3).mean(), textures.floor(3).mean(), textures.scene("test", 1, 2).mean()]
    np.testing.assert_allclose(means, EXPECTED, atol=0.5)


def test_noise_falls_as_asked():
    wave = textures.noise(np.random.default_rng(0), 256, 1.0, axes=1)
    power = np.abs(np.fft.rfft(wave)) ** 2
    low, high = power[2:8].mean(), power[20:80].mean()
    assert abs(np.log(low / high) / np.log(43 / 4.4) - 2) < 0.5
    assert abs(wave.mean()) < 1e-12 and np.isclose(wave.std(), 1)


def test_scenes_move():
    scene = textures.scene("train", 0, 40).astype(float)
    steps = np.abs(np.diff(scene, axis=0)).mean((1, 2, 3))
    assert (steps > 0.3).all() and steps.mean() < 30


EXPECTED = [93.07, 94.06, 108.5]
