"""The command line: what wrong input gets, and what each verb needs."""

import builtins
import dataclasses
import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from harmony_dreamerv3 import verbs
from harmony_dreamerv3.main import main


def fails(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Runs a command that must be refused: status 2, one message, no traceback."""
    assert main(list(argv)) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert "Traceback" not in captured.err
    return captured.err


def test_unknown_verb_block_flag_and_task_name_the_nearest(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    logdir = str(tmp_path / "run")
    assert "train" in fails(capsys, "trian")
    assert "'atari100k'" in fails(capsys, "train", "--configs", "atari10k", "--logdir", logdir)
    assert "'batch_size'" in fails(capsys, "train", "--batch_sise", "4", "--logdir", logdir)
    error = fails(capsys, "train", "--task", "atari_pnog", "--logdir", logdir)
    assert "'atari_pong'" in error
    assert not Path(logdir).exists()


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["--seed", "x"], "seed"),
        (["--run.steps", "1.5"], "run.steps"),
        (["--harmony", "maybe"], "harmony"),
        (["--seed"], "needs a value"),
        (["stray"], "stray"),
        (["--seeds", "0", "0"], "different"),
        (["--jax.population_devices", "0"], "jax.population_devices must be at least 1"),
        (["--jax.data_devices", "-1"], "jax.data_devices must be at least 1"),
        (["--seeds", "0", "--seed", "1"], "not both"),
        (["--jax.platform", "gpus"], "jax.platform"),
        (["--jax.precision", "float16"], "jax.precision"),
        (["--balance.method", "harmonie"], "'harmony'"),
        (["--harmony", "True", "--loss_scales.reward", "10"], "loss_scales.reward"),
        (["--balance.weights.rewards", "10"], "'reward'"),
        (["--encoder.cnn_keys", "$^", "--encoder.mlp_keys", "$^"], "match none"),
        (["--encoder.cnn_keys", "["], "encoder.cnn_keys must be a regular expression, got '['"),
        (["--encoder.minres", "0"], "encoder.minres must be at least 1"),
        (["--encoder.cnn_depth", "0"], "encoder.cnn_depth must be at least 1"),
        (["--env.dummy.size", "0"], "env.dummy.size must be at least 1"),
        (["--env.dummy.length", "0"], "env.dummy.length must be at least 1"),
        (["--rssm.deter", "-1"], "rssm.deter must be at least 1"),
        (["--rssm.deter", "0"], "rssm.deter must be at least 1"),
        (["--rssm.stoch", "0"], "rssm.stoch must be at least 1"),
        (["--rssm.unimix", "2"], "rssm.unimix must be at least 0 and below 1, got 2.0"),
        (["--imag_horizon", "0"], "imag_horizon must be at least 1"),
        (["--horizon", "1"], "horizon must be above 1, got 1.0"),
        (["--reward_head.bins", "1"], "reward_head.bins must be at least 2"),
        (["--critic.bins", "0"], "critic.bins must be at least 2"),
        (["--actor.layers", "-1"], "actor.layers must be at least 0"),
        (["--grad_heads", "rewrd"], "got 'rewrd'; did you mean 'reward'"),
        (["--grad_heads", "foo"], "grad_heads: expected any of decoder, reward, cont, got 'foo'"),
        (["--retnorm.perclo", "200"], "retnorm.perclo must be at least 0 and at most 100"),
        (["--retnorm.perchi", "1"], "retnorm.perchi must be at least 5.0"),
        (["--free_nats", "nan"], "free_nats must be at least 0 and finite, got nan"),
        (["--batch_size", "0"], "batch_size must be at least 1"),
        (["--batch_length", "0"], "batch_length must be at least 1"),
        (["--run.train_ratio", "inf"], "run.train_ratio must be at least 0 and finite"),
        (["--run.steps", "1e40"], "run.steps must be at least 1 and at most 2147483647"),
        (["--run.steps", "1e13", "--run.replay_size", "1e13"], "run.steps must be"),
        (["--run.envs", "1e9"], "run.envs must be at least 1 and at most 65536"),
        (["--run.envs", "65536"], "in run.envs = 65536 streams"),
        (["--jax.processes", "2"], "there is no jax.coordinator"),
        (["--seed", "9223372036854775808"], "seed must be at least 0 and at most 4294967295"),
        (["--seed", "1e25"], "seed must be at least 0 and at most 4294967295"),
        (["--seed", "4294967296"], "at most 4294967295, got 4294967296"),
        (["--seeds", "1", "18446744073709551616"], "at most 4294967295, got 18446744073709551616"),
        (["--balance.options.x", "2020-99-99"], "no option 'x'"),
        (["--balance.weights.reward", "abc"], "balance.weights.reward must be a finite number"),
        (["--balance.weights.reward", "1" + "0" * 400], "balance.weights.reward must be a finite"),
        (["--balance.tasks", "{a: 1}"], "balance.tasks.a must be a mapping"),
        (["--balance.tasks", "&a {x: *a}"], "balance.tasks: expected a mapping"),
        (["--balance.tasks.reward.reward", "abc"], "balance.tasks.reward.reward: expected a num"),
        (["--balance.method", "dwa", "--balance.options.temperature", "abc"], "'temperature'"),
        (["--task", "gym_:::"], "':::'"),
    ],
)
def test_wrong_values_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, argv: list[str], part: str
) -> None:
    folder = tmp_path / "run"
    base = ["train", "--configs", "debug", "--logdir", str(folder), "--jax.cache", "False"]
    assert part in fails(capsys, *base, *argv)
    assert not (folder / "checkpoints").exists()


@pytest.mark.parametrize("place", ["file", "file/x", "file/x/y"])
def test_a_run_folder_that_cannot_be(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").write_text("something else")
    argv = ("train", "--configs", "debug", "--logdir", str(tmp_path / place))
    assert f"{tmp_path / 'file'} is a file" in fails(capsys, *argv)


def test_errors_of_the_system_name_the_path(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    name = "x" * 300
    argv = ("train", "--configs", "debug", "--logdir", str(tmp_path / name))
    assert name in fails(capsys, *argv)


@pytest.mark.parametrize(("platform", "extra"), [("tpu", "tpu"), ("gpu", "cuda")])
def test_no_accelerator_names_the_extra(platform: str, extra: str, tmp_path: Path) -> None:
    if any(device.platform == platform for device in jax.devices()):
        pytest.skip(f"there is a {platform}")
    argv = f"train --configs debug --jax.platform {platform} --logdir {tmp_path / 'r'}".split()
    command = [sys.executable, "-m", "harmony_dreamerv3", *argv]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert f"harmony-dreamerv3[{extra}]" in done.stderr
    assert "Traceback" not in done.stderr


def test_parts_of_a_run_without_its_configuration_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "episodes.jsonl").write_text("")
    error = fails(capsys, "train", "--configs", "debug", "--logdir", str(tmp_path))
    assert f"{tmp_path} holds episodes.jsonl, but no config.yaml; give another" in error
    assert [path.name for path in tmp_path.iterdir()] == ["episodes.jsonl"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--method", "harmony"], "label 'harmony' is the name of another method"),
        (["--label", "harmony", "--balance.method", "dwa"], "than what runs, 'dwa'; leave it out"),
        (["--label", "atari100k", "--base", "dreamerv4"], "base: expected one of dreamerv3"),
        (["--logdir", "{timestamp}", "--jax.coordinator", "auto"], "need the same folder"),
        (["--balance.method", "not_there:f"], "No module named 'not_there'"),
        (["--balance.init", "first"], "balance.init: expected one of one, first_loss"),
    ],
)
def test_labels_bases_and_paths_that_cannot_be(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    argv: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert message in fails(capsys, "train", "--configs", "debug", "--jax.cache", "False", *argv)


def test_ctrl_c_ends_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(args: object) -> int:
        raise KeyboardInterrupt

    table = dataclasses.replace(verbs.VERBS["table"], run=interrupted)
    monkeypatch.setitem(verbs.VERBS, "table", table)
    assert main(["table"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_modules_of_the_working_directory_are_found_and_hide_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "module_of_test_main.py").write_text("ANSWER = 42\n")
    (tmp_path / "jax.py").write_text("raise ImportError\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", ".")])
    assert main(["doctor", "--configs", "debug"]) == 0
    assert importlib.import_module("module_of_test_main").ANSWER == 42
    assert sys.path[-1] == str(tmp_path)


def test_every_verb_is_in_the_table_and_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for name, verb in verbs.VERBS.items():
        assert f"{name} {verb.help}" in shown
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0 and f"{name} [-h]" in capsys.readouterr().out


def test_analyze_without_a_checkout_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_lab(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "lab":
            raise ModuleNotFoundError("No module named 'lab'", name="lab")
        return before(name, *args, **kwargs)

    before = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", without_lab)
    error = fails(capsys, "analyze", "somewhere", "--out", "there")
    assert error.count("\n") == 1 and "needs the folder lab of a checkout" in error


def test_folder_of_another_format_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text("format: 0\nseed: 0\n")
    assert "format 0" in fails(capsys, "train", "--configs", "debug", "--logdir", str(tmp_path))
    assert "format 0" in fails(capsys, "eval", str(tmp_path))


def test_eval_of_no_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "config.yaml" in fails(capsys, "eval", str(tmp_path))


def test_doctor_prints_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--configs", "atari100k", "--harmony", "True"]) == 0
    out = capsys.readouterr().out
    assert "method: harmony" in out
    assert "deter: 512" in out


def test_train_resume_eval_and_refusal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    argv = [
        "train", "--configs", "debug", "--logdir", str(folder), "--jax.platform", "cpu",
        "--run.eval_every", "100", "--harmony", "True", "--jax.cache", "False",
    ]  # fmt: skip
    assert main([*argv, "--run.steps", "160"]) == 0
    first = (folder / "metrics.jsonl").read_text()
    out = capsys.readouterr().out
    assert "image loss: first" in out
    assert "trained return" in out
    # The same command with more steps continues; nothing is written twice.
    assert main([*argv, "--run.steps", "220"]) == 0
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    lines = [line for line in lines if "train/loss/image" in line]
    steps = [line["step"] for line in lines]
    assert steps == sorted(set(steps))
    assert (folder / "metrics.jsonl").read_text().startswith(first[:200])
    assert {"train/balance/loss/reward", "train/balance/weight/reward"} <= set(lines[-1])
    weighted = lines[-1]["train/balance/weighted/reward"]
    assert weighted == pytest.approx(
        lines[-1]["train/balance/loss/reward"] * lines[-1]["train/balance/weight/reward"], rel=1e-2
    )
    # Another configuration is refused and named, and changes nothing.
    before = sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))
    error = fails(capsys, *argv, "--run.steps", "220", "--batch_size", "2")
    assert "batch_size: 4 there, 2 now" in error
    assert sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*")) == before
    words = ["--checkpoint", "200", "--seed", "8", "--episodes", "3", "--video"]
    assert main(["eval", str(folder), *words]) == 0
    out = capsys.readouterr().out
    assert "checkpoint of step 200, seed 8\n" in out and "n = 3" in out
    film = folder / "eval" / "videos" / "eval-episode-000000200.gif"
    assert f"video: {film}\n" in out and film.exists()
    assert "only of 200, 220" in fails(capsys, "eval", str(folder), "--checkpoint", "9")
    # Nor are fewer steps than are done, or files where the run has folders.
    assert "run.steps is 20, but" in fails(capsys, *argv, "--run.steps", "20")
    shutil.rmtree(folder / "eval")
    (folder / "eval").write_text("")
    assert f"{folder / 'eval'} is not a folder" in fails(capsys, "eval", str(folder))
    (folder / "replay").rename(tmp_path / "replay")
    (folder / "replay").write_text("")
    assert f"{folder / 'replay'} is not a folder" in fails(capsys, *argv, "--run.steps", "300")


def test_continuous_actions_beyond_their_bounds(tmp_path: Path) -> None:
    pytest.importorskip("dm_control")
    argv = (
        f"train --configs debug --task dmc_cartpole_swingup --logdir {tmp_path} --jax.platform cpu "
        "--env.dmc.image False --run.steps 120 --run.train_fill 20 --run.eval_every 60 "
        "--run.video_length 0 --run.save_every 120"
    ).split()
    assert main(argv) == 0
    # A Gaussian policy draws beyond [-1, 1]; the replay holds what it drew.
    arrays = [load_file(path)["action"] for path in (tmp_path / "replay").glob("*.safetensors")]
    assert np.abs(np.concatenate(arrays)).max() > 1
