"""Names of games and the published columns."""

import numpy as np
import pytest

from scores import games


@pytest.mark.parametrize(
    "name",
    ["jamesbond", "james_bond", "James Bond", "atari_jamesbond", "atari_james_bond",
     "ALE/Jamesbond-v5", "gym_ALE/Jamesbond-v5", "JamesbondNoFrameskip-v4", " JAMESBOND "],
)  # fmt: skip
def test_spellings_of_one_game(name):
    assert games.normalise(name) == "jamesbond"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ALE/UpNDown-v5", "up_n_down"),
        ("Chopper Com.", "chopper_command"),
        ("MsPacman", "ms_pacman"),
        ("ALE/Tennis-v5", "atari_tennis"),
        ("atari_tennis", "atari_tennis"),
        ("dmc_walker_walk", "dmc_walker_walk"),
        ("gym_CartPole-v1", "gym_CartPole-v1"),
        ("x\x1b[31m", "x?[31m"),
    ],
)
def test_other_names(name, expected):
    assert games.normalise(name) == expected


def test_every_title_leads_back_to_its_game():
    assert len(games.atari100k()) == 26
    for game in games.atari100k():
        assert games.normalise(games.title(game)) == game


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
