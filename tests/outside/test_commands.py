"""Thirty commands and ten Python snippets as a new user types them, each with what it must print.

Commands run in one process and one folder, in their order, so that later ones find the runs of
earlier ones; those that train are slow tests.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from harmony_dreamerv3.main import main

# A run of seconds: `--configs debug` with less of everything.
SHORT = (
    "--run.steps 60 --run.train_fill 20 --run.log_every 20 --run.eval_every 30 --run.eval_eps 2 "
    "--run.report_every 0 --run.save_every 30 --jax.platform cpu"
)
# The words after `harmony-dreamerv3`, the exit status, and patterns that the output must have.
QUICK = [
    ("--version", 0, [r"^\d+\.\d+\.\d+$"]),
    ("--help", 0, ["train agents, or continue a run", "evaluate a|evaluate the", "export"]),
    ("train --help", 0, ["--init SOURCE", "--offline REPLAY", "atari100k", "quickstart"]),
    ("eval --help", 0, ["--checkpoint STEP", "--seed S", "--video"]),
    ("export --help", 0, ["--hub FOLDER"]),
    ("trian", 2, ["invalid choice: 'trian'"]),
    ("config", 0, [r"^rssm.deter: \d+", "^run.offline: ", "^init: ''"]),
    ("config atari100k --paper", 0, ["^batch_length: 64", "T in the paper"]),
    ("config --diff dreamerv3 harmony", 0, ["balance.method: fixed in dreamerv3, harmony in harm"]),
    ("config nothing", 2, ["unknown config block 'nothing'"]),
    ("train --configs debug --lr 1", 2, ["model_opt.lr, actor_opt.lr, critic_opt.lr"]),
    ("train --configs debug --run.tracker wandbb", 2, ["got 'wandbb'; did you mean 'wandb'"]),
    ("train --configs debug --task atari_pomg", 2, ["atari_pong"]),
    ("train --configs debug --task CartPole-v1", 2, ["gym_CartPole-v1"]),
    ("train --configs debug --init nothing --logdir a", 2, ["nothing: expected the folder of a"]),
    ("train --configs debug --offline nothing --logdir b", 2, ["nothing is no run folder"]),
    ("eval nothing", 2, ["nothing is no run folder"]),
    ("envs", 0, ["atari", "dmc", "gym"]),
    ("envs --search pong", 0, ["atari_pong"]),
    ("table", 0, ["Alien", r"Human mean .* 1.36[0-9]", "IQM"]),
    ("table paper:harmony paper:simulus --games pong hero", 0, ["Pong", "Hero"]),
    ("table nothing.json", 2, ["nothing.json"]),
    ("sweep --dry-run --logdir s --configs debug --tasks dummy_disc --methods dreamerv3 harmony "
     "--seeds 0 1", 0, ["harmony +dummy_disc +1 +waiting"]),
]  # fmt: skip
SLOW = [
    (f"train --configs debug harmony --logdir runs/one {SHORT}", 0,
     ["method harmony", "step 60/60", "trained return", "runs/one/episodes.jsonl"]),
    ("eval runs/one --checkpoint 30 --seed 3 --episodes 2 --video", 0,
     ["checkpoint of step 30, seed 3", "n = 2", "video: runs/one/eval/videos/eval-ep"]),
    (f"train --configs debug --init runs/one --init-keys world_model/ --logdir runs/two {SHORT}", 0,
     [r"init: \d+ of \d+ parameters from runs/one, step 60", "method dreamerv3"]),
    (f"train --configs debug --offline runs/one --logdir runs/three {SHORT}", 0,
     [r"offline: 60 steps of runs/one, \d+ updates", r"^update \d+/\d+ \(\d+%\)"]),
    ("train --logdir runs/three --run.steps 90", 0, ["continuing from the checkpoint of step 60"]),
    ("export runs/one --hub hub", 0, ["parameters of step 60 written to hub, with config.yaml"]),
    ("table runs --allow-unfinished", 0, ["dummy_disc", "harmony", "dreamerv3"]),
]  # fmt: skip
FIRST = "runs/one/checkpoints/000000000030"
# In order, with one set of names, after the commands of SLOW; each must print its pattern.
SNIPPETS = [
    ("import harmony_dreamerv3; print(harmony_dreamerv3.__version__)", r"^\d+\.\d+"),
    ("agent = harmony_dreamerv3.load('runs/one'); print(agent.step, agent.act_space)", "60 "),
    (f"early = harmony_dreamerv3.load('{FIRST}'); print(early.step)", "30"),
    ("hub = harmony_dreamerv3.load('hub'); print(hub.step, hub.config.label)", "60 harmony"),
    ("import numpy as np\n"
     "rows = {k: np.zeros((2, *s.shape), s.dtype) for k, s in agent.obs_space.items()}\n"
     "action, carry = agent.act(rows)\nprint(action.shape, action.dtype)", r"\(2, \d+\) float32"),
    ("print(np.array_equal(action, hub.act(rows)[0]))", "True"),
    ("batch = {k: np.stack([v] * 5, 1) for k, v in {**rows, 'action': action}.items()}\n"
     "latents = agent.observe(batch)\nprint(latents['deter'].shape)", r"\(2, 5, \d+\)"),
    ("future, _ = agent.imagine({k: v[:, -1] for k, v in latents.items()}, steps=3)\n"
     "print(agent.reward(future).shape, agent.value(future).shape)", r"\(2, 3\) \(2, 3\)"),
    ("print(agent.decode(future)['image'].shape)", r"\(2, 3, \d+, \d+, 3\)"),
    ("try:\n    harmony_dreamerv3.load('nothing')\nexcept Exception as error:\n    print(error)",
     "nothing: expected the folder of a run or of export --hub"),
]  # fmt: skip


def check(line: str, status: int, patterns: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Runs a command; compares its status and all that it printed."""
    capsys.readouterr()
    try:
        code = main(shlex.split(line))
    except SystemExit as end:  # Of --help and --version.
        code = int(end.code or 0)
    found = capsys.readouterr()
    output = found.out + found.err
    assert code == status, f"{line}\n{output}"
    for pattern in patterns:
        assert re.search(pattern, output, re.MULTILINE), f"{line}\n{pattern!r} is not in\n{output}"
    assert "Traceback" not in output


def test_there_are_as_many_as_promised() -> None:
    assert len(QUICK) + len(SLOW) == 30 and len(SNIPPETS) == 10


@pytest.mark.parametrize(("line", "status", "patterns"), QUICK, ids=[each[0] for each in QUICK])
def test_commands(
    line: str, status: int, patterns: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    check(line, status, patterns, capsys)


@pytest.mark.slow
def test_commands_that_train_and_snippets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for line, status, patterns in SLOW:
        check(line, status, patterns, capsys)
    names: dict[str, object] = {}
    for code, pattern in SNIPPETS:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(code, names)
        assert re.search(pattern, said.getvalue(), re.MULTILINE), f"{code}\n{said.getvalue()}"
