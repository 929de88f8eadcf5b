"""Config differences of two run folders."""

import pytest

from scores import configs, load


def differences(a, b):
    pair, _ = load.load_pair([str(a), str(b)], None)
    return configs.differences(*pair)


def table(grid):
    return {row[0].text: (row[1].text, row[2].text) for row in grid.blocks[0]}


def test_key_by_key(write_run):
    base = "run:\n  steps: 1e5\n  envs: 1\nwm:\n  lr: {}\nlogdir: same\n"
    a = write_run("a", method="x", evals={4: [1]}, config=base.format("1.0e-4"))
    b = write_run("b", method="y", evals={4: [1]}, config=base.format("0.0003") + "new: [1, 2]\n")
    grid, problems = differences(a, b)
    assert not problems
    assert table(grid) == {
        "method": ("x", "y"),
        "wm.lr": ("0.0001", "0.0003"),
        "new": ("–", "[1, 2]"),
    }
    assert configs.records(grid)[0] == {"key": "method", "a": "x", "b": "y"}


def test_values_over_many_runs(write_run, tmp_path):
    for seed in range(3):
        write_run(f"a/{seed}", seed=seed, evals={4: [1]})
        write_run(f"b/{seed}", seed=seed + 1, evals={4: [1]})
    grid, _ = differences(tmp_path / "a", tmp_path / "b")
    assert table(grid) == {"seed": ("0, 1, 2", "1, 2, 3")}


def test_equal_configs_and_no_configs(write_run, write_harmony):
    a = write_run("a", evals={4: [1]})
    grid, _ = differences(a, write_run("b", evals={4: [1]}))
    assert not grid.blocks[0]
    assert "equal" in grid.notes[0]
    assert differences(a, write_harmony("x.json", {"pong": [1]})) == (None, [])


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("bad: [1, 2\n", "cannot be read as YAML"),
        ("k: " + "{" * 400 + "\n", "cannot be read as YAML"),
        ("x: " + "a" * 2**20 + "\n", "larger than 262144 bytes"),
        ("l0: &l0 {a: 1}\n" + "".join(
            f"l{n}: &l{n} {{" + ", ".join(f"k{k}: *l{n - 1}" for k in range(10)) + "}\n"
            for n in range(1, 9)
        ), "more than 10000 values"),
    ],
    ids=["torn", "deep", "large", "aliases"],
)  # fmt: skip
def test_hostile_configs_have_a_reason(write_run, config, reason):
    a = write_run("a", evals={4: [1]}, config=config)
    grid, problems = differences(a, write_run("b", evals={4: [1]}))
    assert grid is None
    assert problems[0].path.endswith("a/config.yaml")
    assert reason in problems[0].reason


def test_scalars_quoted_and_commented_scalars(tmp_path):
    (tmp_path / "config.yaml").write_text(
        "# task: no\ntask: 'ALE/Pong-v5'  # the task\nenv:\n  seed: 9\nseed: 4\nmethod:\n"
    )
    assert configs.settings(tmp_path) == {"task": "ALE/Pong-v5", "env.seed": "9", "seed": "4"}


def test_scalars_of_nested_and_flowing_mappings(tmp_path):
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text(
        "env:\n  atari: {size: [96, 96], repeat: 4,\n    sticky: True}\n  task: x\n"
        "keys:\n- a\n- b: 3\nrun:\n  steps: 1e5  # agent steps\n  ckpt:\n    every: 1\nseed: 0\n"
    )
    found = configs.settings(tmp_path)
    assert found == {
        "env.atari.repeat": "4", "env.atari.sticky": "True", "env.task": "x", "run.steps": "1e5",
        "run.ckpt.every": "1", "seed": "0",
    } | {key: value for key, value in found.items() if key.startswith("keys")}  # fmt: skip


def test_where_a_config_is(tmp_path):
    for folder in ("run/seed-0/eval", "hydra/version_0", "hydra/.hydra"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "run/config.yaml").write_text("task: a\n")
    (tmp_path / "hydra/.hydra/config.yaml").write_text("task: b\n")
    assert configs.settings(tmp_path / "run/seed-0/eval") == {"task": "a"}
    assert configs.settings(tmp_path / "hydra/version_0") == {"task": "b"}
    assert configs.settings(tmp_path) == {}
