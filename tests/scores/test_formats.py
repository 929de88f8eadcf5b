"""Score files of other projects."""

import json

import pytest

from scores.formats import read_file, seed_of
from scores.records import UNKNOWN


def reasons(problems):
    return " | ".join(problem.reason for problem in problems)


def test_harmonydream_file(write_harmony):
    runs, problems = read_file(write_harmony("harmony.json", {"james_bond": [100, 200]}))
    assert not problems
    assert [(run.method, run.game, run.seed) for run in runs] == [
        ("harmony", "jamesbond", 0),
        ("harmony", "jamesbond", 1),
    ]
    assert runs[1].evals.frames[[0, -1]].tolist() == [20_000, 400_000]
    assert runs[1].evals.scores[-1] == 200
    assert (runs[1].evals.episodes == UNKNOWN).all()
    assert len(runs[1].trains) == 0


def test_upstream_episodes_and_bins(write_upstream):
    path = write_upstream(
        "scores.json.gz",
        [
            ("atari_pong", "dreamerv3", 0, [4112, 8000, 12008], [-21, -20, -19]),
            ("atari_pong", "dreamerv3", "1", [10000.0, 20000.0, 30000.0], [1, float("nan"), 3]),
        ],
    )
    (episodes, bins), problems = read_file(path)
    assert episodes.trains.episodes.tolist() == [1, 1, 1]
    assert bins.seed == 1
    assert bins.trains.frames.tolist() == [10000, 30000]
    assert (bins.trains.episodes == UNKNOWN).all()
    assert "1 bins are NaN" in reasons(problems)


@pytest.mark.parametrize(
    ("content", "reason", "runs"),
    [
        ({"a": 1}, "unknown format", 0),
        ("text", "unknown format", 0),
        ([], "holds no scores", 0),
        ([{"xs": [1]}], "run 0 is no", 0),
        ([{"task": "atari_pong", "xs": [1, 2], "ys": [1]}], "unequal steps: 2 steps but 1", 0),
        ([{"task": "atari_pong", "xs": 3, "ys": [1]}], "must be lists", 0),
        ([{"task": "atari_pong", "xs": [3, 2], "ys": [1, 2]}], "backwards", 1),
        ([{"task": "atari_pong", "xs": [2, 3], "ys": [[1], 2]}], "1 of 2 points are NaN", 1),
        ([{"task": "atari_pong", "xs": [1e999, 3], "ys": [1, 2]}], "1 of 2 points are NaN", 1),
        ({"steps": [1, 2], "score": {"pong": [[1, 2, 3]]}}, "unequal steps: 2 steps but 3", 0),
        ({"steps": [1, 2], "score": {"pong": [[1, float("nan")]]}}, "1 of 2 points are NaN", 1),
        ({"steps": [1, 2], "score": {"pong": [[10**400, "x"]]}}, "2 of 2 points", 1),
        ({"steps": [1], "score": {"pong": 3, "alien": [[1]]}}, "pong: expected a list", 1),
        ({"steps": [1], "score": [1]}, "no object of games", 0),
    ],
)  # fmt: skip
def test_faults_are_reported_and_the_rest_is_read(tmp_path, content, reason, runs):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    found, problems = read_file(path)
    assert reason in reasons(problems)
    assert problems[0].path == str(path)
    assert len(found) == runs


def test_endless_faults_are_counted(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([0] * 5000))
    _, problems = read_file(path)
    assert len(problems) == 11
    assert problems[-1].reason == "and 4990 more such faults"


def test_csv(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(
        "Task,Seed,Frame,Return,mode,episodes,method\n"
        "PongNoFrameskip-v4,0,400000,10,,,\n"
        "PongNoFrameskip-v4,0,400000,20,,,\n"
        "PongNoFrameskip-v4,1,400000,5,eval,100,other\n"
        "PongNoFrameskip-v4,1,399996,7,train,1,other\n"
        "PongNoFrameskip-v4,2,soon,7,train,1,other\n"
        "PongNoFrameskip-v4,2,4,7,dream,1,other\n"
    )
    (a, b), problems = read_file(path)
    assert (a.method, a.game, a.evals.scores.tolist()) == ("mine", "pong", [15.0])
    assert (b.method, b.seed, b.evals.episodes.tolist()) == ("other", 1, [100])
    assert b.trains.scores.tolist() == [7]
    assert "line 6" in reasons(problems)
    assert "line 7" in reasons(problems)


def test_csv_needs_its_columns_and_takes_the_budget_for_frames(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("game,points\npong,3\n")
    assert "needs the columns game and score; it has game, points" in reasons(read_file(path)[1])
    path.write_text("game,score\npong,3\n")
    (run,), problems = read_file(path)
    assert not problems
    assert run.evals.frames.tolist() == [400_000]


def test_seeds_of_any_spelling():
    found = [seed_of(value) for value in (3, "3", 3.0, "3.0", "a", None, [1], "nan", 10**400)]
    assert found[:7] == [3, 3, 3, 3, "a", "None", "[1]"]
    assert found[7] == "nan"
    assert {type(seed) for seed in found[4:]} == {str}
