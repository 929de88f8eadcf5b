"""One name for all spellings."""

import pytest

from scores import games, names


@pytest.mark.parametrize(
    "name",
    ["jamesbond", "james_bond", "James Bond", "atari_jamesbond", "atari_james_bond",
     "atari100k_jamesbond", "atari-jamesbond", "Jamesbond-v4", "JamesbondNoFrameskip-v4",
     " JAMESBOND "],
)  # fmt: skip
def test_spellings_of_one_game(name):
    assert names.normalise(name) == "jamesbond"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("UpNDown", "up_n_down"),
        ("Chopper Com.", "chopper_command"),
        ("MsPacman", "ms_pacman"),
        ("atari_tennis", "atari_tennis"),
        ("dmc_walker_walk", "dmc_walker_walk"),
        ("walker-walk", "dmc_walker_walk"),
        ("ball_in_cup-catch", "dmc_ball_in_cup_catch"),
        ("cup_catch", "dmc_ball_in_cup_catch"),
        ("dmc_cup_catch", "dmc_ball_in_cup_catch"),
        ("minatar_breakout", "minatar_breakout"),
        ("HalfCheetah-v5", "HalfCheetah-v5"),
        ("gym_CartPole-v1", "gym_CartPole-v1"),
        ("x\x1b[31m", "x?[31m"),
    ],
)
def test_other_names(name, expected):
    assert names.normalise(name) == expected


def test_every_title_leads_back_to_its_game():
    assert len(games.atari100k()) == 26
    for game in games.atari100k():
        assert names.normalise(games.title(game)) == game


@pytest.mark.parametrize(
    ("name", "expected", "frames"),
    [
        # Sticky actions by default, four frames inside of a step.
        ("ALE/Pong-v5", "ALE/Pong-v5", 4),
        ("gym_ALE/Pong-v5", "ALE/Pong-v5", 4),
        ("Pong-v5", "ALE/Pong-v5", 4),
        ("gym_ALE/Tennis-v5", "ALE/Tennis-v5", 4),
        # The gym suite adds neither frame skip nor pooling of its own.
        ("gym_PongNoFrameskip-v4", "gym_PongNoFrameskip-v4", 1),
        ("gym_PongDeterministic-v4", "gym_PongDeterministic-v4", 4),
    ],
)
def test_environments_that_are_not_those_of_atari_100k_keep_a_name(name, expected, frames):
    assert names.normalise(name) == expected
    assert names.normalise(expected) == expected
    assert names.frameskip(expected) == frames


@pytest.mark.parametrize(
    ("name", "aggregate"),
    [("stats_gamer_mean", True), ("atari_stats_median", True), ("Mean", True), ("IQM", True),
     ("Optimality Gap", True), ("human_mean", True), ("pong", False), ("statsville", False),
     ("dmc_walker_walk", False)],
)  # fmt: skip
def test_statistics_are_no_tasks(name, aggregate):
    assert names.is_aggregate(name) == aggregate


def test_columns_by_their_usual_names():
    meanings, strange = names.columns(["Env ID", "global_step", "episodic_return", "wall", "run"])
    assert meanings == {
        "game": "Env ID", "steps": "global_step", "score": "episodic_return",
    }  # fmt: skip
    assert strange == ["wall", "run"]
    assert names.columns(["frames", "frame"])[0] == {"frames": "frames"}


@pytest.mark.parametrize(
    ("stem", "found"),
    [
        ("walker-walk", ("folder", "walker-walk")),
        ("tdmpc2-acrobot-swingup", ("tdmpc2", "acrobot-swingup")),
        ("my_sac_cup_catch", ("my_sac", "cup_catch")),
        ("results", ("results", "")),
        ("walker-walk-results", ("walker-walk-results", "")),
    ],
)
def test_task_of_a_file(stem, found):
    assert names.task_of(stem, "folder") == found
