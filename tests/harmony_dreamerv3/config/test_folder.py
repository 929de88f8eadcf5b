"""Run folders against configurations."""

import dataclasses
import re
from pathlib import Path

import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.config import folder


def test_a_run_that_was_begun_before_there_were_bases_goes_on(tmp_path):
    config = configs.make(["debug"], {"logdir": str(tmp_path)})
    text = folder.prepare(tmp_path, config)
    assert "base: dreamerv3\n" in text
    (tmp_path / "config.yaml").write_text(text.replace("base: dreamerv3\n", ""))
    assert folder.prepare(tmp_path, config) == text
    assert folder.read(tmp_path) == config
    with pytest.raises(UserError, match="seed: 0 there, 1 now"):
        folder.prepare(tmp_path, dataclasses.replace(config, seed=1))


def test_options_of_other_suites_do_not_matter(tmp_path):
    """So their defaults may change without breaking runs that never used them."""
    text = folder.prepare(tmp_path, configs.make(["debug"]))
    (tmp_path / "config.yaml").write_text(text)
    folder.prepare(tmp_path, configs.make(["debug"], {"env.dmc.size": 32}))
    with pytest.raises(UserError, match=r"env\.dummy\.size: 64 there, 32 now"):
        folder.prepare(tmp_path, configs.make(["debug"], {"env.dummy.size": 32}))


def test_a_run_of_another_base_is_refused_by_name(tmp_path):
    config = configs.make(["debug"])
    text = folder.prepare(tmp_path, config)
    (tmp_path / "config.yaml").write_text(text.replace("base: dreamerv3", "base: other"))
    with pytest.raises(UserError, match="of base other, this run's base is dreamerv3; give ano"):
        folder.prepare(tmp_path, config)
    with pytest.raises(UserError, match=r"config\.yaml: base: expected one of dreamerv3"):
        folder.read(tmp_path)


def test_files_of_others_are_left_alone(tmp_path):
    (tmp_path / "slurm-123.out").write_text("starting")
    (tmp_path / ".lock").touch()
    config = configs.make(["debug"])
    assert folder.prepare(tmp_path, config).endswith(configs.dump(config))
    (tmp_path / "replay").mkdir()
    with pytest.raises(UserError, match=r"holds replay, but no config\.yaml; give another"):
        folder.prepare(tmp_path, config)
    assert (tmp_path / "slurm-123.out").read_text() == "starting"


def save_at(path, step):
    (path / "checkpoints" / f"{step:012d}-0").mkdir(parents=True)
    (path / "checkpoints" / f"{step:012d}-0" / "manifest.json").write_text("{}")


def test_what_may_change_is_recorded_with_its_step(tmp_path):
    flags = {"run.eval_every": 10, "run.log_every": 5, "run.save_every": 20}
    first = configs.make(["debug"])
    (tmp_path / "config.yaml").write_text(folder.prepare(tmp_path, first))
    save_at(tmp_path, 120)
    second = configs.make(["debug"], flags)
    text = folder.prepare(tmp_path, second)
    lines = [line for line in text.splitlines() if line.startswith("# changed")]
    assert lines == [
        "# changed at step 120: run.eval_every: 100 to 10",
        "# changed at step 120: run.log_every: 50 to 5",
        "# changed at step 120: run.save_every: 100 to 20",
    ]
    (tmp_path / "config.yaml").write_text(text)
    assert folder.read(tmp_path) == second
    save_at(tmp_path, 200)
    again = folder.prepare(tmp_path, configs.make(["debug"], {**flags, "run.log_every": 7}))
    changes = [line for line in again.splitlines() if line.startswith("# changed")]
    assert changes == [*lines, "# changed at step 200: run.log_every: 5 to 7"]


def test_a_folder_alone_says_what_runs(tmp_path):
    assert not folder.holds_run(tmp_path)
    config = configs.make(["debug", "harmony"], {"seed": 4})
    (tmp_path / "config.yaml").write_text(folder.prepare(tmp_path, config))
    assert folder.holds_run(tmp_path)
    assert folder.resume(tmp_path, {}) == (config, None)
    longer, _ = folder.resume(tmp_path, {"run.steps": "1e6", "run.log_every": "9"})
    assert (longer.run.steps, longer.run.log_every, longer.seed) == (1_000_000, 9, 4)
    folder.prepare(tmp_path, longer)
    other, _ = folder.resume(tmp_path, {"rssm.deter": "8"})
    with pytest.raises(UserError, match=r"rssm\.deter: 16 there, 8 now"):
        folder.prepare(tmp_path, other)


def test_the_folder_of_a_population_says_its_seeds(tmp_path):
    for seed in (10, 9):
        place = tmp_path / f"seed-{seed}"
        place.mkdir()
        config = configs.make(["debug"], {"seed": seed})
        (place / "config.yaml").write_text(folder.prepare(place, config))
    assert folder.holds_run(tmp_path)
    config, seeds = folder.resume(tmp_path, {})
    assert seeds == [9, 10] and config.task == "dummy_disc"


def test_a_label_of_an_earlier_version_is_read_on(tmp_path):
    config = configs.make(["debug"], {"label": "mine"})
    text = folder.prepare(tmp_path, config).replace("label: mine", "method: harmony")
    (tmp_path / "config.yaml").write_text(text)  # It says harmony, but dreamerv3 runs.
    old = folder.read(tmp_path)
    assert old.label == "harmony" and old.balance.method == "fixed"
    folder.prepare(tmp_path, old)


def test_the_time_in_a_name():
    config = configs.make(["debug"])
    assert folder.expand("runs/x", config) == Path("runs/x")
    assert re.fullmatch(r"runs/\d{8}T\d{6}/x", str(folder.expand("runs/{timestamp}/x")))
    for name in ("{time}", "{TIMESTAMP}", "{{timestamp}}/x", "{}"):
        with pytest.raises(UserError, match=r"means nothing here, only \{timestamp\} does"):
            folder.expand(f"runs/{name}", config)
    several = configs.make(["debug"], {"jax.coordinator": "auto"})
    with pytest.raises(UserError, match="need the same folder"):
        folder.expand("runs/{timestamp}", several)


def test_a_pattern_reaches_the_same_keys_when_a_run_goes_on(tmp_path):
    """`cont_head.bins` stands in no file, so that a pattern leaves it alone."""
    flags = {r".*\.bins": 41}
    before = configs.make(["debug"], flags)
    (tmp_path / "config.yaml").write_text(folder.prepare(tmp_path, before))
    assert folder.resume(tmp_path, flags)[0] == before
    assert before.agent.critic.bins == 41
