"""Columns, keys and tasks by the names that other people give them; nothing is read by guess."""

import json

import numpy as np
import pytest

from scores import load, protocol
from scores.__main__ import main
from scores.reading import Reading

STEPS = range(40_000, 400_001, 40_000)


def table(path, header, rows):
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return str(path)


def scores(sources, **reading):
    groups, problems = load.load([str(s) for s in sources], None, Reading(**reading))
    return protocol.columns(groups), " | ".join(problem.reason for problem in problems)


@pytest.mark.parametrize("name", ["frame", "frames", "Env Frames", "env_frames", "total_frames"])
def test_frames_by_any_name(tmp_path, name):
    rows = [("pong", seed, x, x / 10_000 - 21) for seed in range(3) for x in STEPS]
    (column,), told = scores([table(tmp_path / "a.csv", f"game,seed,{name},score", rows)])
    assert column.of("pong").tolist() == [19, 19, 19]
    assert "columns" not in told


@pytest.mark.parametrize(
    "name", ["step", "steps", "timestep", "env_step", "global_step", "total_timesteps", "Step"]
)
def test_steps_are_frames_or_agent_steps_and_the_flag_says_which(tmp_path, capsys, name):
    rows = [("pong", 0, x // 4, x / 10_000 - 21) for x in STEPS]
    path = table(tmp_path / "a.csv", f"game,seed,{name},score", rows)
    assert main(["table", path]) == 2
    err = capsys.readouterr().err
    assert f"column '{name}': frames or agent steps? Say --frames-per-step 1" in err
    assert main(["table", path, "--frames-per-step", "4"]) == 0
    (pong,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("Pong"))
    assert pong.split() == ["Pong", "-21", "15", "19"]
    (column,), _ = scores([path], frames_per_step=1)  # a quarter of the way
    assert column.of("pong").tolist() == []


def test_agent_steps_of_atari_are_four_frames(tmp_path):
    rows = [("pong", 0, x // 4, x / 10_000 - 21) for x in STEPS]
    (column,), _ = scores([table(tmp_path / "a.csv", "game,seed,agent_steps,score", rows)])
    assert column.of("pong").tolist() == [19]


@pytest.mark.parametrize("name", ["wall_time", "Unnamed: 0", "loss"])
def test_a_column_that_says_nothing_is_named(tmp_path, capsys, name):
    path = table(tmp_path / "a.csv", f"game,seed,frame,score,{name}", [("pong", 0, 400_000, 3, 1)])
    assert main(["table", path, "--games", "pong"]) == 0
    assert f"columns that are not understood, unused: {name}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "method", "task"),
    [
        ("acrobot-swingup.csv", "tdmpc2", "dmc_acrobot_swingup"),
        ("walker_walk.csv", "tdmpc2", "dmc_walker_walk"),
        ("sac-cup-catch.csv", "sac", "dmc_ball_in_cup_catch"),
        ("sac_atari_tennis.csv", "sac", "atari_tennis"),
    ],
)
def test_a_file_of_one_task_is_named_after_it(tmp_path, file, method, task):
    (tmp_path / "tdmpc2").mkdir()
    rows = [(0, 0.5, 1), (100_000, 80, 1), (0, 0.4, 2), (100_000, 95, 2)]
    path = table(tmp_path / "tdmpc2" / file, "step,reward,seed", rows)
    (column,), told = scores([path])
    assert (column.name, column.games) == (method, [task])
    assert column.of(task).tolist() == [80, 95]
    assert "column 'step': taken for frames" in told


def test_a_file_that_names_no_task_is_refused(tmp_path, capsys):
    path = table(tmp_path / "results.csv", "step,reward,seed", [(0, 1, 0)])
    assert main(["table", path]) == 2
    assert "needs the columns game and score; it has step, reward, seed" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["ys", "reward", "score", "return"])
def test_upstreams_list_with_scores_under_another_key(tmp_path, key):
    run = {"task": "crafter_reward", "method": "human", "seed": "0", "xs": [300, 600, 950]}
    run |= {key: [12.1, 14.1, 11.1], "length": [300, 300, 350]}
    (tmp_path / "a.json").write_text(json.dumps([run]))
    (column,), _ = scores([tmp_path / "a.json"])
    assert column.of("crafter_reward") == pytest.approx([(12.1 + 14.1 + 11.1) / 3])


@pytest.mark.parametrize("name", ["iteration", "epoch", "t", "training_step", "Unnamed: 0", "x"])
def test_a_curve_over_a_column_that_is_not_known_is_no_final_score(tmp_path, capsys, name):
    rows = [("pong", seed, n, n) for seed in range(2) for n in range(1, 5)]
    path = table(tmp_path / "a.csv", f"game,seed,{name},score", rows)
    assert main(["table", path]) == 2
    err = capsys.readouterr().err
    assert "pong: 4 rows for each seed, and no column for frames: episodes of one evaluation" in err
    assert f"if {name!r} counts frames or agent steps, rename it" in err
    for lists, score in (("curve", 4), ("episodes", 2.5)):
        (column,), _ = scores([path], lists=lists)
        assert column.of("pong").tolist() == [score] * 2
    # One row a seed, or a column that does not number them, is no curve.
    for rows in ([("pong", 0, 7, 3)], [("pong", 0, 7, 3), ("pong", 0, 7, 5)]):
        table(tmp_path / "a.csv", f"game,seed,{name},score", rows)
        (column,), _ = scores([path])
        assert column.of("pong") == pytest.approx([np.mean([row[3] for row in rows])])


@pytest.mark.parametrize(
    "name",
    ["stats_gamer_median", "atari_stats_mean", "Mean", "IQM", "optimality_gap", "Average",
     "aggregate_median", "normalized_median", "Mean Human-Normalised Score", "hns_iqm",
     "score/mean"],
)  # fmt: skip
def test_statistics_are_not_listed_as_tasks(tmp_path, capsys, name):
    runs = [{"task": task, "seed": 0, "xs": [399_999], "ys": [5]} for task in ("atari_pong", name)]
    (tmp_path / "a.json").write_text(json.dumps(runs))
    (tmp_path / "b.json").write_text(json.dumps({"Pong": [1, 2], name: [3, 4]}))
    for file in ("a.json", "b.json"):
        assert main(["table", str(tmp_path / file), "--protocol", "train-window"]) == 0
        shown = capsys.readouterr()
        assert f"statistics over tasks, no tasks, left out: {name}" in shown.err
        assert name not in shown.out.split("\n\n")[1] or name == "IQM"


@pytest.mark.parametrize(
    "spelled", ["cup_catch", "dmc_cup_catch", "ball_in_cup-catch", "dmc_ball_in_cup_catch"]
)
def test_tasks_of_dm_control_share_a_row(tmp_path, spelled):
    (tmp_path / "a.json").write_text(json.dumps({spelled: [900, 950]}))
    (tmp_path / "b.json").write_text(json.dumps({"dmc_ball_in_cup_catch": [1]}))
    columns, _ = scores([tmp_path / "a.json", tmp_path / "b.json"])
    assert [column.games for column in columns] == [["dmc_ball_in_cup_catch"]] * 2


LOGS = {
    "r2dreamer": ("episode/eval_score", "episode/score", 1),
    "dreamerv3-torch": ("eval_return", "train_return", 1),
    "upstream": ("eval_episode/score", "episode/score", 1),
    "sheeprl": ("Test/cumulative_reward", "Rewards/rew_avg", 4),
    "torchrl": ("eval/reward", "train/reward", None),
}


@pytest.mark.parametrize("origin", LOGS)
def test_logs_of_other_code(tmp_path, capsys, origin):
    evaluation, training, repeat = LOGS[origin]
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text("env:\n  task: atari_pong\nseed: 3\n")
    lines = [{"step": x // (repeat or 1), evaluation: x / 100_000} for x in STEPS]
    lines += [{"step": 390_000 // (repeat or 1), training: -0.2, "other": 1}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    if repeat is None:
        assert main(["table", str(tmp_path)]) == 2
        err = capsys.readouterr().err
        assert f"steps of {evaluation}: frames or agent steps? Say --frames-per-step" in err
    (column,), _ = scores([tmp_path], frames_per_step=1 if repeat is None else None)
    assert (column.protocol, column.seeds) == ("final-eval", [3])
    assert column.of("pong").tolist() == [4.0]


def test_a_log_without_a_known_key_says_what_is_known(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text("task: atari_pong\n")
    (tmp_path / "metrics.jsonl").write_text('{"step": 4, "my_score": 3}\n')
    assert main(["table", str(tmp_path)]) == 2
    assert "holds no score; known are eval_episode/score, episode/eval_score" in (
        capsys.readouterr().err
    )


def test_sheeprls_one_test_at_step_0_is_the_end_of_training(tmp_path):
    (tmp_path / "config.yaml").write_text("env:\n  id: PongNoFrameskip-v4\nseed: 0\n")
    lines = [{"step": x // 4, "Rewards/rew_avg": -1} for x in STEPS]
    lines += [{"step": 0, "Test/cumulative_reward": 17}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    (column,), _ = scores([tmp_path])
    assert column.of("pong").tolist() == [17]
