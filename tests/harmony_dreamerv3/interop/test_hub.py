"""Hub folders: what is written, and that `load` and `--init` read the same agent from them."""

import jax
import numpy as np
import pytest
import safetensors
import tiny

import harmony_dreamerv3
from embodied.core.errors import UserError
from harmony_dreamerv3.interop import hub, sources
from harmony_dreamerv3.main import main


@pytest.fixture(scope="module")
def folder(exported, tmp_path_factory):
    out = tmp_path_factory.mktemp("hub") / "dummy-agent"
    assert main(["export", str(exported[0] / "run"), "--hub", str(out)]) == 0
    return out


def test_the_same_agent_comes_back(exported, folder):
    run, again = (harmony_dreamerv3.load(place) for place in (exported[0] / "run", folder))
    assert again.step == run.step == 24
    jax.tree.map(np.testing.assert_array_equal, run.params, again.params)
    spaces = {key: run.obs_space[key] for key in run.agent.obs_keys if key != "is_first"}
    obs = {key: np.zeros((2, *space.shape), space.dtype) for key, space in spaces.items()}
    np.testing.assert_array_equal(run.act(obs)[0], again.act(obs)[0])


def test_what_is_in_it(exported, folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "config.yaml", "model.safetensors",
    ]  # fmt: skip
    with safetensors.safe_open(folder / "model.safetensors", "numpy") as file:
        assert file.metadata()["step"] == "24" and "version" in file.metadata()["code"]
        assert "params/actor/out/kernel" in file.keys()  # noqa: SIM118
        assert not [name for name in file.keys() if name.startswith("opt/")]  # noqa: SIM118
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: harmony-dreamerv3\n")
    for words in ("# harmony on dummy_disc", 'load("dummy-agent")', "24 agent steps", "1 replayed",
                  "no evaluation was recorded", f"| code | {hub.commit()} |"):  # fmt: skip
        assert words in card, words
    config = (exported[0] / "run" / "config.yaml").read_text()
    assert (folder / "config.yaml").read_text() == config


def test_scores_are_those_up_to_the_checkpoint(tmp_path):
    lines = [(10, 1.0), (20, 2.0), (20, 4.0), (30, 9.0)]
    text = "".join(
        f'{{"mode": "eval", "step": {step}, "frame": {4 * step}, "return": {value}}}\n'
        for step, value in lines
    )
    (tmp_path / "episodes.jsonl").write_text(text)
    words = hub._scores(sources.Source(tmp_path, {}, None, 25))
    assert words.startswith("return 3 ± 1 (") and "2 episodes at step 20, 80 frames" in words


def test_a_run_begins_with_it(exported, folder, tmp_path):
    words = ["train", "--init", str(folder), "--logdir", str(tmp_path / "a"), *tiny.WORDS]
    assert main([*words, "--run.steps", "8"]) == 0
    first = sources.read(tmp_path / "a" / "checkpoints" / f"{0:012d}").parameters
    kept = sources.read(folder).parameters
    assert first.keys() == kept.keys()
    assert all(np.array_equal(first[name], value) for name, value in kept.items())


def test_mistakes(exported, tmp_path, capsys):
    run = str(exported[0] / "run")
    assert main(["export", run]) == 2
    assert "expected either OUT.npz (or .safetensors) or --hub FOLDER" in capsys.readouterr().err
    assert main(["export", run, "--hub", run]) == 2
    assert "is a run folder; give another one for the hub" in capsys.readouterr().err
    with pytest.raises(UserError, match="a hub folder needs a run's configuration"):
        hub.export(exported[0] / "out.npz", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to"):
        hub.export(exported[0] / "run", tmp_path / "file" / "hub")
    with pytest.raises(UserError, match="arrays without a configuration; make a run of it"):
        harmony_dreamerv3.load(exported[0] / "out.npz")
