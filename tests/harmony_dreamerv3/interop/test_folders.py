"""From a checkpoint of the released code to a run folder, and back."""

import json
import pickle
import re
import shlex

import numpy as np
import pytest
import safetensors.numpy
import tiny

from embodied.checkpoint.checkpoints import Checkpoints
from embodied.checkpoint.files import decode
from harmony_dreamerv3.interop import folders, names
from harmony_dreamerv3.main import main


def learner_of(folder):
    saved = Checkpoints(folder, [folder]).load()
    path = saved[0].files["learner.safetensors"]
    return decode(path.read_bytes(), path)


def test_export_names_every_variable(exported):
    base, named = exported
    ours = learner_of(base / "run")
    counted = [k for k in ours if k.startswith(("params/", "slow_critic/", "return_scale/"))]
    assert len(named) == len(counted) + 1  # And the number of updates.
    assert int(named[names.SLOW_UPDATES]) > 0
    np.testing.assert_array_equal(
        named["agent/wm/rssm/gru/kernel"], ours["params/world_model/rssm/gru/kernel"]
    )
    assert main(["export", str(base / "run"), str(base / "out.safetensors")]) == 0
    again = safetensors.numpy.load_file(base / "out.safetensors")
    assert again.keys() == named.keys()
    assert all(np.array_equal(again[k], named[k]) for k in named)


def test_import_evaluates_continues_and_exports_the_same(exported, tmp_path, capsys):
    _, named = exported
    path, folder = tmp_path / "checkpoint.ckpt", tmp_path / "run"
    path.write_bytes(pickle.dumps({"step": 900, "agent": named, "_timestamp": 0.0}))
    assert main(["import", str(path), "--logdir", str(folder), *tiny.WORDS]) == 0
    said = capsys.readouterr().out
    assert "no optimizer moments for model, actor, critic: these restart" in said
    assert "saved at step 900" in said
    note = json.loads((folder / "imported.json").read_text())
    assert note["step"] == 900 and len(note["sha256"]) == 64

    assert main(["export", str(folder), str(tmp_path / "out.npz")]) == 0
    with np.load(tmp_path / "out.npz") as archive:
        assert all(np.array_equal(archive[k], named[k]) for k in named)
        assert set(archive) == set(named)

    assert main(["eval", str(folder)]) == 0
    before = learner_of(folder)
    command = shlex.split(said.splitlines()[-1])  # The one that it says.
    assert command[:4] == ["harmony-dreamerv3", "train", "--logdir", str(folder)]
    assert main(command[1:]) == 0
    after = learner_of(folder)
    made = int(after["updates"]) - int(before["updates"])
    assert made > 0 and int(after["opt/model/1/count"]) == made
    kernel = "params/world_model/rssm/gru/kernel"
    # Continued from the imported ones: a few updates of 1e-4 away, not drawn anew.
    assert 0 < np.abs(after[kernel] - before[kernel]).max() < 3e-4 * made

    assert main(["import", str(path), "--logdir", str(folder), *tiny.WORDS]) == 2
    assert "holds a run already" in capsys.readouterr().err


def test_upstream_configuration_beside_the_checkpoint(tmp_path):
    theirs = tmp_path / "config.yaml"
    theirs.write_text(
        "task: atari_pong\nharmony: true\nrssm: {deter: 96, unroll: false}\n"
        "encoder: {cnn_depth: 8, cnn: resnet}\nenvs: {amount: 1}\njax: {precision: float16}\n"
    )
    config = folders.make_config(["atari100k"], {"encoder.cnn_depth": "4"}, theirs)
    assert (config.task, config.agent.rssm.deter, config.agent.encoder.cnn_depth) == (
        "atari_pong",
        96,
        4,
    )
    assert config.balance.method == "harmony" and config.balance.dyn_regularizer == "released"
    assert config.run.train_fill == 1024 and config.jax.precision == "float32"
    # Keys that it leaves out have the released code's defaults.
    assert config.agent.rssm.units == 1024


def test_wrong_sizes_wrong_suffix_and_no_run(exported, tmp_path, capsys):
    base, _ = exported
    words = ["--logdir", str(tmp_path / "run"), *tiny.WORDS, "--rssm.deter", "9"]
    assert main(["import", str(base / "out.npz"), *words]) == 2
    error = capsys.readouterr().err
    assert re.search(r"agent/\S+: expected shape \(\d+", error)
    assert main(["export", str(base / "run"), str(tmp_path / "out.txt")]) == 2
    assert ".safetensors or .npz" in capsys.readouterr().err
    assert main(["export", str(tmp_path), str(tmp_path / "out.npz")]) == 2
    assert "no run folder" in capsys.readouterr().err


SHORT = {
    "run.steps": 24, "run.train_fill": 8, "run.train_ratio": 2.0, "run.pretrain": 0,
    "run.eval_every": 0, "run.report_every": 0, "run.video_length": 0, "run.eval_eps": 1,
    "run.eval_envs": 1, "jax.cache": False, "jax.device_replay": "False", "harmony": True,
    "batch_size": 2, "batch_length": 4,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("block", "name"),
    [("debug_2025", "dyn/dyngru/kernel"), ("debug_v2", "wm.rssm._cell._layer.weight")],
)
def test_other_bases_export_and_import_by_name(block, name, tmp_path, capsys):
    words = ["--configs", block, *(w for k, v in SHORT.items() for w in (f"--{k}", str(v)))]
    run, again = tmp_path / "run", tmp_path / "again"
    assert main(["train", "--logdir", str(run), *words]) == 0
    assert main(["export", str(run), str(tmp_path / "out.npz")]) == 0
    assert main(["import", str(tmp_path / "out.npz"), "--logdir", str(again), *words]) == 0
    said = capsys.readouterr().out
    assert "no optimizer moments for" in said and f"--configs {block}" in said
    assert main(["export", str(again), str(tmp_path / "again.npz")]) == 0
    with np.load(tmp_path / "out.npz") as first, np.load(tmp_path / "again.npz") as second:
        assert name in first and set(first) == set(second)
        assert all(np.array_equal(first[k], second[k]) for k in first)
    before, after = (
        {k: v for k, v in learner_of(f).items() if k.startswith(("params/", "slow", "stats"))}
        for f in (run, again)
    )
    if block == "debug_2025":  # Upstream has no harmonizers.
        before, after = (
            {k: v for k, v in x.items() if "/balance/" not in k} for x in (before, after)
        )
    assert all(np.array_equal(after[k], v) for k, v in before.items())
