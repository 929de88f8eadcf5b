"""Files of scores as people exchange them, and two reductions of one file side by side."""

import gzip
import json
import struct

import numpy as np
import pytest

from scores import load, protocol
from scores.__main__ import main
from scores.reading import Reading

GAMES = {"Pong": [18.0, 20.0, 19.6], "UpNDown": [9000, 12000, 15000], "BattleZone": [12000, 9000]}


def column(path, **reading):
    (group,), _ = load.load([str(path)], None, Reading(**reading))
    return protocol.columns([group])[0]


@pytest.mark.parametrize(
    "content",
    [
        GAMES,
        {game: {str(seed): score for seed, score in enumerate(v)} for game, v in GAMES.items()},
        {game: {str(seed): [score] for seed, score in enumerate(v)} for game, v in GAMES.items()},
        {"mine": GAMES},
        [{"game": g, "seed": s, "score": x} for g, v in GAMES.items() for s, x in enumerate(v)],
    ],
)
def test_final_scores_of_each_game_and_seed(tmp_path, content):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(content))
    found = column(path)
    assert found.name == "mine"
    assert found.of("pong").tolist() == [18, 20, 19.6]
    assert found.of("up_n_down").mean() == 12000
    assert found.of("battle_zone").tolist() == [12000, 9000]
    assert found.seeds == [0, 1, 2]
    assert found.notes == ["final scores; at which frames and how they were made is not told"]
    path = tmp_path / "mine.json.gz"
    path.write_bytes(gzip.compress(json.dumps(content).encode()))
    assert column(path).of("pong").tolist() == [18, 20, 19.6]


def test_several_methods_in_one_file(tmp_path, capsys):
    path = tmp_path / "all.json"
    path.write_text(json.dumps({"a": {"Pong": [1, 2]}, "b": {"Pong": [3, 4]}}))
    assert main(["table", str(path), "--games", "pong"]) == 0
    out = capsys.readouterr().out
    assert "1.5 [1, 2]" in out
    assert "3.5* [3, 4]" in out


def test_lists_of_each_seed_are_episodes_or_a_curve_and_the_flag_says_which(tmp_path, capsys):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"pong": {"0": [1, 2, 9], "5": [2, 4, 6]}}))
    assert main(["table", str(path)]) == 2
    assert "pong: 3 numbers for each seed: episodes of one evaluation, or a curve" in (
        capsys.readouterr().err
    )
    assert column(path, lists="episodes").of("pong").tolist() == [4, 4]
    assert column(path, lists="curve").of("pong").tolist() == [9, 6]
    assert column(path, lists="curve").seeds == [0, 5]


@pytest.mark.parametrize("key", ["HNS", "hns", "human_normalized_score"])
def test_human_normalised_rows_are_refused_once(tmp_path, capsys, key):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"game": "Pong", "seed": s, key: 0.4} for s in range(30)]))
    assert main(["table", str(path)]) == 2
    err = capsys.readouterr().err
    assert err.count(f"{key} is human-normalised, and raw scores are needed") == 1
    assert len(err) < 1500


def test_dreamer_pros_runs_and_upstreams_log_of_scores(tmp_path):
    runs = [
        {"task": "dmc_cup_catch", "method": m, "seed": f"indir1_{s}", "xs": [10_000, 20_000],
         "ys": [90, 900 + s]}
        for m in ("pro", "v2") for s in (1, 2)
    ]  # fmt: skip
    (tmp_path / "runs.json").write_text(json.dumps(runs))
    groups, _ = load.load([str(tmp_path / "runs.json")])
    pro, _ = protocol.columns(groups)
    assert pro.of("dmc_ball_in_cup_catch").tolist() == [901, 902]
    logdir = tmp_path / "logdir"
    logdir.mkdir()
    (logdir / "config.yaml").write_text(
        "task: atari100k_pong\nseed: 4\nenv:\n  atari100k: {size: [64, 64], sticky: False}\n"
    )
    lines = [{"step": 4 * n, "episode/score": n / 1000} for n in range(1000, 110_000, 1000)]
    (logdir / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for source in (logdir, logdir / "scores.jsonl"):
        found = column(source)
        assert (found.games, found.seeds) == (["pong"], [4])
        assert found.of("pong") == pytest.approx([99])  # 98, 99, 100: those in (390K, 400K]


def event(step, tag, value):
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary

    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
    data = Event(step=step, summary=summary, wall_time=1.0).SerializeToString()
    return struct.pack("<Q", len(data)) + bytes(4) + data + bytes(4)


@pytest.mark.parametrize("torn", [0, 3, 20])
def test_events_of_tensorboard(tmp_path, torn):
    (tmp_path / "config.yaml").write_text("env:\n  id: MsPacmanNoFrameskip-v4\nseed: 1\n")
    data = b"".join(
        event(step, tag, step / 10)
        for step in range(5000, 100_001, 5000)
        for tag in ("Rewards/rew_avg", "Loss/policy_loss")
    )
    tail = event(100_001, "Rewards/rew_avg", 0.0)[:torn]
    name = "events.out.tfevents.1700000000.host.1.0"
    (tmp_path / name).write_bytes(data + tail)
    for source in (tmp_path, tmp_path / name):
        found = column(source)
        # Agent steps, so 390K to 400K frames are those after 97,500.
        assert found.of("ms_pacman") == pytest.approx([10_000])
        assert found.protocol == "train-window"


def test_two_reductions_side_by_side(tmp_path, capsys):
    xs = [4000 * n + 1 for n in range(1, 100)]
    runs = [
        {"task": "atari_pong", "method": "m", "seed": seed, "xs": xs, "ys": list(range(99))}
        for seed in range(2)
    ]
    runs += [{"task": "atari_boxing", "method": "m", "seed": 0, "xs": [9001], "ys": [7]}]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(runs))
    reductions = ["--reduction", "last-episode", "window-10%"]
    assert main(["table", str(path), "paper:iris", *reductions, "--no-intervals"]) == 0
    out = capsys.readouterr().out
    assert "m, last-episode" in out
    assert "m, window-10%" in out
    assert out.count("paper:iris") >= 1
    (pong,) = (line.split() for line in out.splitlines() if line.startswith("Pong"))
    # The last is 98; after 360K come the episodes 89 to 98.
    assert pong == ["Pong", "-21", "15", "98†*", "93.5*", "15"]
    assert "stops at 9,001 of 400,000 frames: Boxing (seed 0)" in out
    for same in (
        ["--reduction", "last-episode,window-10%"],
        ["--reduction", "last-episode", "--reduction", "window-10%"],
    ):
        assert main(["table", str(path), "paper:iris", *same, "--no-intervals"]) == 0
        assert capsys.readouterr().out == out
    assert main(["table", "--reduction", "last-episode", str(path)]) == 2
    assert "is a source; sources go before --reduction" in capsys.readouterr().err
    assert main(["table", str(path), "--reduction", "last"]) == 2
    assert "did you mean" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("reduction", "score"), [("last-eval", 3), ("best", 9), ("last-episode", 6), ("window-10%", 5)]
)
def test_each_reduction(tmp_path, reduction, score):
    (tmp_path / "config.yaml").write_text("task: atari_pong\nseed: 0\nmethod: m\n")
    points = [("eval", 200_000, 9), ("eval", 400_000, 3), ("train", 360_000, 50)]
    points += [("train", 370_000, 4), ("train", 399_000, 6), ("train", 400_004, 70)]
    lines = [json.dumps({"mode": m, "frame": f, "return": r}) for m, f, r in points]
    (tmp_path / "episodes.jsonl").write_text("\n".join(lines) + "\n")
    groups, _ = load.load([str(tmp_path)])
    assert protocol.columns(groups, reduction)[0].of("pong").tolist() == [score]


def test_released_scores_of_later_agents(capsys):
    assert main(["table", "paper:diamond", "paper:storm", "--no-intervals"]) == 0
    out = capsys.readouterr().out
    assert "eloialonso/diamond" in out
    groups, _ = load.load(["paper:released"])
    means = {c.name: _mean(c) for c in protocol.columns(groups)}
    # The means over games that come with these files, from slightly other references.
    wanted = {"simulus": 1.645, "diamond": 1.459, "storm": 1.222, "twm-runs": 0.956,
              "delta-iris": 1.383, "spr": 0.616, "easimulus": 1.818, "eadream": 1.290,
              "harmony-eawm": 1.200}  # fmt: skip
    assert {name.removeprefix("paper:") for name in means} == set(wanted)
    for name, mean in wanted.items():
        assert means[f"paper:{name}"] == pytest.approx(mean, abs=0.01)


def _mean(found):
    from scores import games

    return float(np.mean(games.normalised(found.games, found.scores)))


def test_what_no_run_has_is_said_once(tmp_path):
    """Not game by game and seed by seed."""
    path = tmp_path / "train.json"
    xs, ys = list(range(0, 410_000, 10_000)), [1.0] * 41
    runs = [{"task": f"atari_{g}", "method": "a", "seed": s, "xs": xs, "ys": ys}
            for g in ("pong", "hero") for s in (0, 1)]  # fmt: skip
    path.write_text(json.dumps(runs))
    (group,), _ = load.load([str(path)])
    (found,) = protocol.columns([group], "final-eval")
    assert "no score, no evaluation: all runs" in found.notes
