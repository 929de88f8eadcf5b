"""Run folders, ours and upstream's."""

import json

from scores.folders import find_runs, read_folder
from scores.records import UNKNOWN


def test_our_run_joins_the_episodes_of_one_evaluation(write_run):
    folder = write_run(
        "run", "atari_pong", 3, evals={20_000: [1, 3], 40_000: [5]}, trains=[(8, -21), (400, 2)]
    )
    (run,), problems = read_folder(folder)
    assert not problems
    assert (run.method, run.game, run.seed) == ("ours", "pong", 3)
    assert run.evals.frames.tolist() == [20_000, 40_000]
    assert run.evals.scores.tolist() == [2, 5]
    assert run.evals.episodes.tolist() == [2, 1]
    assert run.trains.scores.tolist() == [-21, 2]


def test_nested_folders_are_found_and_heavy_ones_skipped(write_run, tmp_path):
    write_run("a/b/run")
    write_run("a/multi/seed-0", seed=0)
    write_run("a/multi/seed-1", seed=1)
    (tmp_path / "a/multi/config.yaml").write_text("task: atari_pong\n")
    write_run("a/b/run/replay/not-a-run")
    found = [path.relative_to(tmp_path).as_posix() for path in find_runs(tmp_path)]
    assert found == ["a/b/run", "a/multi/seed-0", "a/multi/seed-1"]


def test_seed_folder_takes_its_parents_config(write_run):
    folder = write_run("multi/seed-7", evals={4: [1]})
    (folder / "config.yaml").rename(folder.parent / "config.yaml")
    (run,), _ = read_folder(folder)
    assert (run.game, run.seed) == ("pong", 7)


def test_upstream_logdir(tmp_path):
    (tmp_path / "config.yaml").write_text("method: dreamerv3\nseed: 2\ntask: atari_pong\n")
    lines = [
        {"step": 4000, "episode/score": -21.0, "episode/length": 10},
        {"step": 4400, "train/loss": 3.0},
        {"step": 8000, "episode/score": -20.0, "eval_episode/score": -18.0},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (run,), problems = read_folder(tmp_path)
    assert not problems
    assert (run.method, run.seed) == ("dreamerv3", 2)
    assert run.trains.frames.tolist() == [4000, 8000]
    assert run.trains.episodes.tolist() == [1, 1]
    assert run.evals.scores.tolist() == [-18.0]
    assert run.evals.episodes.tolist() == [UNKNOWN]
    # scores.jsonl, where there is one, is the whole record.
    (tmp_path / "scores.jsonl").write_text('{"step": 4, "episode/score": 7}\n')
    assert read_folder(tmp_path)[0][0].trains.scores.tolist() == [7]


def test_faults_of_a_folder(write_run, tmp_path):
    folder = write_run("run", evals={20_000: [1, float("nan")]}, trains=[(4, 2)])
    with open(folder / "episodes.jsonl", "a") as file:
        file.write('{"mode": "eval", "frame": 40000, "retu')
    (run,), problems = read_folder(folder)
    assert run.evals.scores.tolist() == [1]
    assert [problem.path for problem in problems] == [str(folder / "episodes.jsonl")] * 2
    text = " ".join(problem.reason for problem in problems)
    assert "line 4 is not a JSON object" in text
    assert "1 of 2 points are NaN" in text
    (folder / "config.yaml").write_text("seed: 0\n")
    assert "no task" in read_folder(folder)[1][0].reason
    (folder / "episodes.jsonl").write_text("")
    assert "no scores yet" in read_folder(folder)[1][0].reason
    (folder / "episodes.jsonl").write_text('{"mode": "train"}\n')
    (folder / "config.yaml").write_text("task: a\n")
    assert "holds no score" in read_folder(folder)[1][-1].reason
