"""How runs are scored."""

import numpy as np
import pytest

from embodied.core.errors import UserError
from scores import load, protocol

EVALS = {380_000: [50, 70], 400_000: [10, 20], 420_000: [1000]}
TRAINS = [(389_000, 5), (390_000, 6), (390_004, 7), (400_000, 9), (400_004, 1000)]


def column(sources, *args):
    groups, _ = load.load([str(source) for source in sources])
    return protocol.columns(groups, *args)


@pytest.mark.parametrize(
    ("name", "frames", "expected", "episodes"),
    [
        ("final-eval", None, 15, 2),  # the one at 420K is beyond the budget
        ("best-eval", None, 60, 2),
        ("train-window", None, 8, 2),  # (390K, 400K]: 7 and 9
        ("final-eval", 380_000, 60, 2),
        ("final-eval", 420_000, 1000, 1),
        (None, None, 15, 2),
    ],
)
def test_protocols(write_run, name, frames, expected, episodes):
    (found,) = column([write_run("a", evals=EVALS, trains=TRAINS)], name, frames)
    assert found.scores.tolist() == [[expected]]
    assert found.episodes.tolist() == [[episodes]]
    assert found.protocol == (name or "final-eval")


def test_without_evaluations_the_column_says_train_window(write_run):
    (found,) = column([write_run("a", trains=TRAINS)])
    assert (found.protocol, found.scores.tolist()) == ("train-window", [[8]])


def test_an_unfinished_run_has_no_score_yet(write_run):
    runs = [write_run("a", seed=0, evals=EVALS), write_run("b", seed=1, evals={200_000: [9]})]
    (found,) = column(runs)
    np.testing.assert_equal(found.scores, [[15], [np.nan]])
    assert found.notes == [
        "no score, stops at 200,000 of 400,000 frames: Pong (seed 1)",
        "--frames N scores every run at N frames, --allow-unfinished where it stands",
    ]
    (found,) = column(runs[1:], None, 200_000)
    assert found.scores.tolist() == [[9]]


def test_a_task_without_a_budget_is_scored_at_its_end(write_run):
    (found,) = column([write_run("a", "catch_easy", evals={8_000: [1], 20_000: [3]})])
    assert found.scores.tolist() == [[3]]
    assert found.games == ["catch_easy"]


def test_flags(write_run, write_harmony):
    few = [write_run(f"p{s}", seed=s, evals={400_000: [1] * 4}) for s in (0, 1)]
    one = [write_run("alien", "atari_alien", 0, evals={400_000: [1] * 10})]
    (found,) = column(few + one)
    assert found.flags("pong") == ("few-episodes",)  # 2 x 4
    assert found.flags("alien") == ("few-seeds",)
    assert found.flags("hero") == ()
    (found,) = column(few, "best-eval")
    assert found.flags("pong") == ("few-episodes", "biased")
    (told_nothing,) = column([write_harmony("x.json", {"pong": [3]})])
    assert told_nothing.flags("pong") == ()


def test_select_and_of(write_harmony):
    (found,) = column([write_harmony("x.json", {"pong": [3, 4], "alien": [5]})])
    np.testing.assert_equal(
        found.select(["pong", "hero", "alien"]), [[3, np.nan, 5], [4, np.nan, np.nan]]
    )
    assert found.of("alien").tolist() == [5]
    assert found.of("hero").tolist() == []


def test_bins_say_that_their_episodes_are_not_known(write_upstream):
    path = write_upstream("a.json.gz", [("pong", "m", 0, [390_000, 400_000], [1, 2])])
    (found,) = column([path])
    assert found.scores.tolist() == [[2]]
    assert found.flags("pong") == ()
    assert "not known" in found.notes[0]


def test_unknown_protocol():
    with pytest.raises(UserError, match="did you mean 'final-eval'"):
        column(["paper:iris"], "final_eval")
