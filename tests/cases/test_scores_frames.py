"""Other environments than Atari 100K's count their own frames and have rows of their own."""

import json

import pytest

from scores import load, protocol
from scores.__main__ import main


def folder(path, task, points, config="", method="m"):
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(f"task: {task}\nseed: 0\nmethod: {method}\n{config}")
    lines = [
        json.dumps({"mode": "eval", "step": step, "frame": frame, "return": value})
        for step, frame, value in points
    ]
    (path / "episodes.jsonl").write_text("\n".join(lines) + "\n")
    return str(path)


def column(*sources):
    (group,), _ = load.load(sources)
    return protocol.columns([group])[0]


@pytest.mark.parametrize(
    ("task", "row", "repeat", "frames"),
    [
        ("gym_ALE/Pong-v5", "ALE/Pong-v5", 1, 400_000),
        ("gym_ALE/Boxing-v5", "ALE/Boxing-v5", 2, 800_000),
        ("gym_Pong-v5", "ALE/Pong-v5", 1, 400_000),
        ("gym_PongNoFrameskip-v4", "gym_PongNoFrameskip-v4", 4, 400_000),
        ("gym_PongDeterministic-v4", "gym_PongDeterministic-v4", 1, 400_000),
        ("gym_CartPole-v1", "gym_CartPole-v1", 1, 100_000),
    ],
)
def test_frames_that_the_environment_repeats_inside(tmp_path, task, row, repeat, frames):
    config = f"env:\n  gym:\n    repeat: {repeat}\nrun:\n  steps: 100000\n"
    points = [(50_000, 50_000 * repeat, -1), (100_000, 100_000 * repeat, 19)]
    found = column(folder(tmp_path / "a", task, points, config))
    assert found.games == [row]
    assert found.budgets[row] == frames
    assert found.of(row).tolist() == [19]
    # Records that count these frames already are not counted twice.
    points = [(step, frames * step // 100_000, value) for step, _, value in points]
    assert column(folder(tmp_path / "b", task, points, config)).budgets[row] == frames


def test_a_frame_skip_of_ones_own(tmp_path):
    config = "env:\n  gym:\n    repeat: 4\n    kwargs:\n      frameskip: 1\nrun:\n  steps: 100000\n"
    points = [(100_000, 400_000, 19)]
    found = column(folder(tmp_path / "a", "gym_ALE/Pong-v5", points, config))
    assert found.budgets["ALE/Pong-v5"] == 400_000


@pytest.mark.parametrize("steps", [100_000, 400_000])
def test_gym_and_native_atari_share_no_row(tmp_path, capsys, steps):
    native = folder(tmp_path / "n", "atari_pong", [(100_000, 400_000, 5)], method="native")
    gym = folder(tmp_path / "g", "gym_ALE/Pong-v5", [(steps, steps, 19)], method="gym")
    assert main(["table", native, gym]) == 0
    lines = capsys.readouterr().out.splitlines()
    (pong,) = (line.split() for line in lines if line.startswith("Pong"))
    (other,) = (line.split() for line in lines if line.startswith("ALE/Pong-v5"))
    assert pong[1:] == ["-21", "15", "5†", "–"]
    assert other[1:] == ["–", "–", "–", "19†"]
    assert f"other games at {4 * steps:,} frames" in lines[0]
    assert any(line.startswith("ALE/*: sticky actions") for line in lines)


@pytest.mark.parametrize(
    ("settings", "row"),
    [
        ("{repeat: 4, sticky: 0.0, actions: minimal}", "pong"),
        ("{repeat: 4, sticky: 0.25, actions: minimal}", "pong (sticky 0.25)"),
        ("{size: [96, 96], gray: true, sticky: true}", "pong (sticky true)"),
        ("{repeat: 2, actions: full}", "pong (repeat 2, actions full)"),
        ("{lives: reset}", "pong (lives reset)"),
    ],
)
def test_other_settings_of_atari_have_a_row_of_their_own(tmp_path, settings, row):
    config = f"env:\n  atari: {settings}\n"
    assert column(folder(tmp_path / "a", "atari_pong", [(1, 4, 0)], config)).games == [row]
    # As upstream's and our configs are written, one key a line.
    block = settings.strip("{}").replace(", ", "\n    ").replace("[96\n    96]", "[96, 96]")
    config = f"env:\n  atari:\n    {block}\n"
    assert column(folder(tmp_path / "b", "atari_pong", [(1, 4, 0)], config)).games == [row]


@pytest.mark.parametrize("name", ["ALE/Pong-v5", "Pong-v5", "gym_ALE/Pong-v5"])
def test_in_score_files_too(tmp_path, name):
    (tmp_path / "a.json").write_text(json.dumps({name: [19], "Boxing": [3]}))
    found = column(str(tmp_path / "a.json"))
    assert sorted(found.games) == ["ALE/Pong-v5", "boxing"]


@pytest.mark.parametrize("seeds", [False, True])
def test_what_eval_leaves_in_a_run_is_no_run(tmp_path, capsys, seeds):
    run = tmp_path / "run"
    points = [(100_000, 400_000, 5)]
    folder(run / "seed-0" if seeds else run, "catch_easy", points)
    for name in ("eval", "eval/videos"):
        inside = (run / "seed-0" if seeds else run) / name
        inside.mkdir()
        (inside / "episodes.jsonl").write_text('{"mode": "eval", "frame": 8, "return": 99}\n')
    assert main(["table", str(run), "--strict"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert [x.split()[1] for x in shown.out.splitlines() if x.startswith("catch")] == ["5†"]
