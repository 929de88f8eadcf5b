"""One short run on an environment object, for all tests of the API."""

import gymnasium
import pytest

import harmony_dreamerv3

FLAGS = {
    "encoder.cnn_keys": "$^", "decoder.cnn_keys": "$^", "run.steps": 60, "run.train_fill": 20,
    "run.log_every": 20, "run.eval_every": 30, "run.eval_eps": 2, "run.report_every": 0,
    "run.video_length": 0, "run.save_every": 30, "jax.platform": "cpu",
}  # fmt: skip


@pytest.fixture(scope="package")
def trained(tmp_path_factory):
    """A run folder, its environment, what `train` returned, and what its callback saw."""
    folder = tmp_path_factory.mktemp("api") / "run"
    env = gymnasium.make("CartPole-v1")
    config = harmony_dreamerv3.make_config(["debug", "harmony"], FLAGS)
    seen = []
    result = harmony_dreamerv3.train(
        config, env=env, logdir=folder, callbacks=[lambda *args: seen.append(args)]
    )
    yield folder, env, result, seen
    env.close()


@pytest.fixture(scope="package")
def model(trained):
    return harmony_dreamerv3.load(trained[0], env=trained[1])
