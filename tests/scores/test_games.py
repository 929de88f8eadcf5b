"""The published columns and the human scale."""

import numpy as np

from scores import games


def test_table_2_as_printed():
    columns = games.published()
    assert all(set(column.scores) == set(games.atari100k()) for column in columns.values())
    assert columns["harmony"].scores["gopher"] == 13043
    assert columns["simple"].scores["pong"] == 13
    assert columns["harmony"].printed == {"mean": 1.365, "median": 0.671}


def test_normalised_is_0_for_random_1_for_human_nan_elsewhere():
    # Pong: random -21, human 15, so -3 is halfway.
    scores = np.array([[-21.0, 7.0], [15.0, 7.0], [-3.0, 7.0]])
    found = games.normalised(["pong", "catch"], scores)
    np.testing.assert_allclose(found[:, 0], [0, 1, 0.5])
    assert np.isnan(found[:, 1]).all()
