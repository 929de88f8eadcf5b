"""Runs of other lengths: one budget for all, said in the head; unfinished runs are named."""

import json

import pytest

from scores import load, protocol
from scores.__main__ import main

BINS = range(10_000, 2_000_001, 10_000)


def curve(path, task, method, ends, slope):
    """Writes upstream's list: a run for each end, its score is frames / 1000 * slope + seed."""
    runs = [
        {
            "task": task,
            "method": method,
            "seed": seed,
            "xs": [x for x in BINS if x <= end],
            "ys": [x / 1000 * slope + seed for x in BINS if x <= end],
        }
        for seed, end in enumerate(ends)
    ]
    path.write_text(json.dumps(runs))
    return str(path)


def folder(path, task, seed, points, config=""):
    """Writes a run folder of ours; points are (agent step, frame, return)."""
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(f"task: {task}\nseed: {seed}\nmethod: m\n{config}")
    lines = [
        json.dumps({"mode": "eval", "step": step, "frame": frame, "return": value})
        for step, frame, value in points
    ]
    (path / "episodes.jsonl").write_text("\n".join(lines) + "\n")
    return str(path)


def cells(out, row):
    """Returns what a printed table has after a row's name."""
    (line,) = (line for line in out.splitlines() if line.startswith(row + " "))
    return line.removeprefix(row).split()


def column(sources, **settings):
    groups, _ = load.load(sources)
    return protocol.columns(groups, **settings)


@pytest.mark.parametrize("task", ["dmc_quadruped_walk", "dmlab_rooms", "procgen_maze"])
@pytest.mark.parametrize("longer", [1_100_000, 2_000_000])
def test_other_lengths_are_compared_at_the_smallest_common(tmp_path, capsys, task, longer):
    # At equal frames b is better; at its own end a has gone on for longer.
    a = curve(tmp_path / "a.json", task, "a", [longer] * 4, 0.45)
    b = curve(tmp_path / "b.json", task, "b", [1_000_000] * 4, 0.5)
    assert main(["diff", a, b]) == 0
    out = capsys.readouterr().out
    assert out.startswith("b against a: overall better; games: 1 better")
    assert "\nScores at 1,000,000 frames.\n" in out
    if longer == 2_000_000:
        assert "a: runs of 2,000,000 frames scored at 1,000,000" in out
    columns = column([a, b])
    assert [c.scores[0, 0] for c in columns] == [450, 500]
    assert main(["table", a, b]) == 0
    assert capsys.readouterr().out.startswith("Scores at 1,000,000 frames\n")


def test_seeds_that_stopped_early_are_named_and_left_out(tmp_path, capsys):
    points = [(step, 2 * step, step / 1000) for step in range(10_000, 500_001, 10_000)]
    runs = [
        folder(tmp_path / "0", "dmc_walker_walk", 0, points),
        folder(tmp_path / "1", "dmc_walker_walk", 1, points[:2]),  # 4%
        folder(tmp_path / "2", "dmc_walker_walk", 2, [(1000, 2000, 7)]),  # 0.2%
    ]
    assert main(["table", *runs]) == 0
    out = capsys.readouterr().out
    assert "Scores at 1,000,000 frames" in out
    assert cells(out, "dmc_walker_walk") == ["500†"]
    assert "stops at 40,000 of 1,000,000 frames: dmc_walker_walk (seed 1)" in out
    assert "stops at 2,000 of 1,000,000 frames: dmc_walker_walk (seed 2)" in out
    assert main(["table", *runs, "--allow-unfinished"]) == 0
    out = capsys.readouterr().out
    assert cells(out, "dmc_walker_walk") == ["176†", "[7,", "500]"]  # (500 + 20 + 7) / 3
    assert "unfinished, stops at 2,000 of 1,000,000 frames" in out


def test_training_curves_that_stop_early_are_named_likewise(tmp_path, capsys):
    runs = [
        {"task": "atari_pong", "seed": seed, "xs": [end // 2 + 1, end], "ys": [1, 2]}
        for seed, end in enumerate((400_000, 201_001))
    ]
    (tmp_path / "a.json").write_text(json.dumps(runs))
    assert main(["table", str(tmp_path / "a.json")]) == 0
    out = capsys.readouterr().out
    assert "no score, stops at 201,001 of 400,000 frames: Pong (seed 1)" in out
    assert "--allow-unfinished" in out


@pytest.mark.parametrize(("steps", "score"), [(50_000, 40), (40_000, 40), (400_000, None)])
def test_the_budget_of_a_run_folder_is_that_of_its_config(tmp_path, steps, score):
    points = [(step, step, step / 1000) for step in range(10_000, 40_001, 10_000)]
    path = folder(tmp_path / "a", "gym_CartPole-v1", 0, points, f"run:\n  steps: {steps}\n")
    if steps == 50_000:  # 80%: not finished
        score = None
    (c,) = column([path])
    assert c.budgets["gym_CartPole-v1"] == steps
    assert (c.of("gym_CartPole-v1").tolist() or [None]) == [score]
    (c,) = column([path], unfinished=True)
    assert c.of("gym_CartPole-v1").tolist() == [40]


@pytest.mark.parametrize(
    ("envs", "repeat", "steps", "last"),
    [(3, 1, 100_000, 100_002), (7, 4, 100_000, 100_002), (16, 2, 1000, 1008), (3, 1, 400, 402)],
)
def test_the_last_evaluation_may_be_a_round_of_environments_late(
    tmp_path, envs, repeat, steps, last
):
    task = "atari_pong" if repeat == 4 else "catch_easy"
    points = [(int(0.95 * steps), int(0.95 * steps) * repeat, 1), (last, last * repeat, 9)]
    points += [(2 * steps, 2 * steps * repeat, 50)]  # long after
    config = f"run:\n  steps: {steps}\n  envs: {envs}\n"
    (c,) = column([folder(tmp_path / "a", task, 0, points, config)])
    assert c.scores.tolist() == [[9]]
    assert not any("last evaluation" in note for note in c.notes)


def test_an_earlier_evaluation_counts_only_with_a_word(tmp_path):
    (c,) = column([folder(tmp_path / "a", "atari_pong", 0, [(95_000, 380_000, 3)])])
    assert c.scores.tolist() == [[3]]
    assert c.notes == ["the last evaluation is at 380,000 of 400,000 frames: Pong (seed 0)"]


@pytest.mark.parametrize("frames", [20_000_000, 200_000_000])
def test_long_runs_of_atari_are_not_scored_as_atari_100k(tmp_path, capsys, frames):
    xs = [frames * n // 50 for n in range(1, 51)]
    runs = [
        {"task": task, "method": "agent", "seed": 0, "xs": xs, "ys": [x / frames for x in xs]}
        for task in ("atari_pong", "atari_boxing", "atari_tennis")
    ]
    (tmp_path / "long.json").write_text(json.dumps(runs))
    assert main(["table", str(tmp_path / "long.json")]) == 0
    out = capsys.readouterr().out
    head = f"Atari at {frames:,} frames; other games at {frames:,} frames"
    assert out.splitlines()[0] == head
    assert cells(out, "Pong") == ["-21", "15", "1"]
    # Beside Atari 100K they are cut there, and the table says so.
    assert main(["table", str(tmp_path / "long.json"), "paper:harmony"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Atari 100K; other games at")
    assert f"agent: runs of {frames:,} frames scored at 400,000: Boxing, Pong" in out.replace(
        "Pong, Boxing", "Boxing, Pong"
    )


@pytest.mark.parametrize("end", [400_000, 440_000, 600_000])
def test_upstreams_somewhat_longer_runs_are_atari_100k(tmp_path, capsys, end):
    path = curve(tmp_path / "a.json", "atari_pong", "m", [end], 0.01)
    assert main(["table", path]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Atari 100K\n")
    assert column([path])[0].scores.tolist() == [[4]]


@pytest.mark.parametrize("width", [20_000, 500_000, 1_000_000])
def test_a_window_is_never_narrower_than_a_bin(tmp_path, width):
    runs = []
    for seed, count in enumerate((200, 199, 190)):
        xs = [width * n for n in range(1, count + 1)]
        runs.append(
            {"task": "procgen_maze", "seed": seed, "xs": xs, "ys": [x // width for x in xs]}
        )
    path = tmp_path / "a.json"
    path.write_text(json.dumps(runs))
    (c,) = column([str(path)], frames=200 * width)
    assert c.of("procgen_maze").tolist() == [200, 199]  # the third stops ten bins before
    assert any("used is the last: procgen_maze (seed 1)" in note for note in c.notes)
    assert any("no score, no training episode" in note and "seed 2" in note for note in c.notes)
