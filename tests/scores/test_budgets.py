"""At which frames the runs of a table are scored."""

import numpy as np
import pytest

from scores import budgets, games
from scores.load import Group
from scores.records import Run, Series


def run(game, end, length=0.0, final=False, seed=0):
    points = Series(np.array([end / 2, end]), np.zeros(2), np.ones(2, np.int64))
    return Run("m", game, seed, "path", points, length=length, final=final)


def of(*groups, frames=None):
    return budgets.budgets([Group(f"g{n}", runs) for n, runs in enumerate(groups)], frames)


def test_the_smallest_length_of_all_columns_counts():
    found = of([run("a", 10), run("a", 30, seed=1), run("b", 50)], [run("a", 20)])
    assert (found["a"], found["b"]) == (20, 50)


def test_a_config_tells_more_than_the_last_point():
    assert of([run("a", 10, length=100)])["a"] == 100
    assert of([run("a", 110, length=100)])["a"] == 100
    # Seeds that were to have other lengths and have reached them share the least.
    assert of([run("a", 100, length=100), run("a", 200, length=200, seed=1)])["a"] == 100
    assert of([run("a", 10, length=100), run("a", 200, length=200, seed=1)])["a"] == 200


@pytest.mark.parametrize(
    ("ends", "budget"),
    [([200_000], 4e5), ([400_000, 800_000], 4e5), ([801_000], 801_000), ([2e8, 1e8], 1e8),
     ([2e8, 400_000], 4e5)],
)  # fmt: skip
def test_atari_100k_unless_every_column_is_much_longer(ends, budget):
    assert of(*([run("pong", end)] for end in ends))["pong"] == budget


def test_published_columns_are_atari_100k_but_the_references_are_of_any_length():
    groups = [Group("long", (run("pong", 2e8),))]
    printed = {name: Group(name, published=games.published()[name]) for name in ("iris", "human")}
    assert budgets.budgets([*groups, printed["iris"]])["pong"] == 4e5
    assert budgets.budgets([*groups, printed["human"]])["pong"] == 2e8


def test_final_scores_have_no_length():
    assert "a" not in of([run("a", 10, final=True)])
    assert of([run("pong", 10, final=True)])["pong"] == 4e5


def test_given_frames_hold_for_every_game():
    found = of([run("a", 10), run("pong", 4e5)], frames=7)
    assert found["a"] == found["pong"] == found["hero"] == 7


def test_slack_is_a_round_of_environments_or_a_five_hundredth():
    assert budgets.slack(run("a", 10), 1000) == 2
    assert budgets.slack(Run("m", "a", 0, "p", overshoot=64), 1000) == 64


@pytest.mark.parametrize(
    ("shown", "frames", "head"),
    [
        (["pong"], {"pong": 4e5}, "Atari 100K"),
        (["pong"], {"pong": 2e8}, "Atari at 200,000,000 frames"),
        (["pong", "a"], {"pong": 4e5, "a": 1e6}, "Atari 100K; other games at 1,000,000 frames"),
        (["a", "b"], {"a": 5e5, "b": 1e6}, "Scores at 500,000 to 1,000,000 frames by game"),
        (["a"], {}, "Scores"),
    ],
)
def test_the_head_of_a_table(shown, frames, head):
    assert budgets.title(shown, frames) == head
