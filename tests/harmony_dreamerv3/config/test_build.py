"""Blocks and flags to typed configurations; mistakes name what was meant."""

import dataclasses
import sys
import types
from typing import Annotated

import pytest

from embodied.core import ranges
from embodied.core.errors import UserError
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.config import bases, overrides

# The package has functions of these names.
BUILD = sys.modules["harmony_dreamerv3.config.build"]
BLOCKS = sys.modules["harmony_dreamerv3.config.blocks"]


@pytest.mark.parametrize("name", configs.block_names(configs.blocks()))
def test_every_block_builds(name):
    config = configs.make([name])
    # Upstream's benchmarks compute in bfloat16 since 2025.
    suite = config.task.partition("_")[0]
    modern = config.base == "dreamerv3_2025" and suite in ("atari", "dmc", "crafter")
    assert config.jax.precision == ("bfloat16" if modern else "float32")


def test_atari100k():
    c = configs.make(["atari100k", "harmony"])
    assert c.jax.matmul_precision == "default" and configs.make().jax.matmul_precision == "highest"
    assert (
        c.agent.rssm.deter,
        c.agent.rssm.units,
        c.agent.encoder.cnn_depth,
        c.agent.actor.layers,
    ) == (512, 512, 32, 2)
    assert c.run.train_ratio == 1024 and c.batch_size * c.batch_length == 1024
    assert c.balance.method == "harmony" and c.balance.dyn_regularizer == "released"
    assert c.env["atari"]["timeout_is_terminal"] is True
    assert (
        c.agent.model_opt.lr == 1e-4 and c.agent.critic_opt.eps == 1e-5 and c.agent.actent == 3e-4
    )


def test_flags_are_parsed_as_the_type_of_their_key():
    flags = overrides.parse_flags(
        ["--run.steps", "1e5", "--harmony", "True", "--encoder.mlp_keys=$^", "--seed", "3",
         "--grad_heads", "decoder", "reward", "--actent", "1e-3", "--run.env_process", "true"]
    )  # fmt: skip
    c = configs.make((), flags)
    assert c.run.steps == 100_000 and isinstance(c.run.steps, int)
    assert c.balance.method == "harmony" and c.agent.encoder.mlp_keys == "$^" and c.seed == 3
    assert c.agent.grad_heads == ("decoder", "reward") and c.agent.actent == 1e-3
    assert c.run.env_process is True


def test_harmony_is_short_for_the_method():
    assert configs.make((), {"harmony": "True"}).balance.method == "harmony"
    assert configs.make(["harmony"], {"harmony": "False"}).balance.method == "fixed"


def test_regular_expressions_set_every_key_they_match_from_the_start():
    c = configs.make((), {r".*\.layers": 7, "critic.layers": 2})
    assert (c.agent.actor.layers, c.agent.reward_head.layers, c.agent.critic.layers) == (7, 7, 2)
    assert c.agent.encoder.mlp_layers != 7
    assert configs.make((), {r"(encoder|decoder)\.cnn_depth": 8}).agent.decoder.cnn_depth == 8


def test_open_mappings_take_new_keys():
    c = configs.make((), {"balance.weights.reward": "100", "balance.options": "{temperature: 2.0}"})
    assert dict(c.balance.weights) == {"reward": 100} and c.balance.options["temperature"] == 2.0
    c = configs.make((), {"balance.tasks": "{all: {image: 1.0}}", "balance.tasks.all.reward": 2})
    assert {k: dict(v) for k, v in c.balance.tasks.items()} == {"all": {"image": 1.0, "reward": 2}}


@pytest.mark.parametrize(
    ("names", "flags", "message"),
    [
        (["atari100"], {}, "unknown config block 'atari100'; did you mean 'atari100k'"),
        ([], {"rssm.detre": 1}, "unknown key 'rssm.detre'; did you mean 'rssm.deter'"),
        ([], {"harmnoy": True}, "did you mean 'harmony'"),
        ([], {"minstd": 1}, "unknown key 'minstd'; did you mean actor.minstd?"),
        ([], {"clip": 1}, r"did you mean model_opt\.clip, actor_opt\.clip, critic_opt\.clip\?"),
        ([], {"run.step": 1}, "did you mean 'run.steps'"),
        ([], {"env.atari.no_ops": 1}, "did you mean 'env.atari.noops'"),
        ([], {"rssm.deter": "many"}, "rssm.deter: expected int, got 'many'"),
        ([], {"rssm.deter": 1.5}, "expected int, got 1.5"),
        ([], {"seed": True}, "seed: expected int, got True"),
        ([], {"actent": "nothing"}, "actent: expected float"),
        ([], {"harmony": "maybe"}, "harmony: expected bool"),
        ([], {"run.env_process": 1}, "expected bool, got 1"),
        ([], {"grad_heads": 3}, "expected a list"),
        ([], {"rssm": 3}, "unknown key 'rssm'"),
        ([], {r".*\.nothing": 3}, "unknown key"),
        ([], {"(": 3}, "no regular expression"),
        ([], {"balance.weights": "3"}, "expected a mapping"),
        ([], {"run.steps": 0}, "run.steps must be at least 1"),
    ],
)
def test_mistakes(names, flags, message):
    with pytest.raises(UserError, match=message):
        configs.make(names, flags)


def test_dump_is_read_back(tmp_path):
    c = configs.make(["atari100k", "harmony"], {"balance.weights.reward": 2.0})
    path = tmp_path / "config.yaml"
    path.write_text(configs.dump(c))
    assert configs.to_dict(configs.build(overrides.flatten(configs.read_yaml(path)))) == (
        configs.to_dict(c)
    )


def test_configurations_do_not_change():
    c = configs.make()
    with pytest.raises(AttributeError):
        c.seed = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        c.balance.tasks["x"] = {}  # type: ignore[index]


def test_a_run_of_an_earlier_version_goes_on() -> None:
    tree = configs.to_dict(configs.make(["debug"]))
    del tree["run"]["eval_processes"]
    for old, new in ((True, -1), (False, 0)):
        tree["run"]["eval_process"] = old
        assert configs.load(tree, "it").run.eval_processes == new

    del tree["base"]  # The first version had one base, and did not name it.
    assert configs.load(tree, "it").base == "dreamerv3"


# Several bases


@dataclasses.dataclass(frozen=True)
class OtherAgentConfig:
    """Settings of a base that exists in these tests alone."""

    actent: float
    blocks: Annotated[int, ranges.COUNT]

    def __post_init__(self) -> None:
        ranges.check_fields(self)


@pytest.fixture
def other(monkeypatch):
    """A second base `other` with the block `atari100k_other`."""
    module = types.ModuleType("harmony_dreamerv3.config.other_of_tests")
    module.AgentConfig = OtherAgentConfig
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(bases.MODULES, "other", ("other_of_tests", "none"))
    every = configs.blocks()
    every["bases"]["other"] = {"actent": 0.5, "blocks": 8}
    every["atari100k_other"] = {"base": "other", "task": "atari_pong", "blocks": 4}
    for module in (BUILD, BLOCKS):
        monkeypatch.setattr(module, "blocks", lambda path=None: every)
    BUILD._known.cache_clear()
    yield
    BUILD._known.cache_clear()


def test_a_block_or_a_flag_names_the_base(other):
    assert configs.make().base == configs.make(["atari100k"]).base == "dreamerv3"
    by_block = configs.make(["atari100k_other", "harmony"])
    assert by_block.base == "other" and by_block.agent == OtherAgentConfig(0.5, 4)
    assert by_block.balance.method == "harmony" and by_block.task == "atari_pong"
    by_flag = configs.make(["harmony"], {"base": "other", "blocks": "2"})
    assert by_flag.agent == OtherAgentConfig(0.5, 2)
    tree = configs.to_dict(by_flag)
    assert (tree["base"], tree["blocks"], tree["actent"]) == ("other", 2, 0.5)
    assert "rssm" not in tree and "agent" not in tree
    assert configs.load(tree, "it") == by_flag


@pytest.mark.parametrize(
    ("names", "flags", "message"),
    [
        (["atari100k", "atari100k_other"], {},
         "block atari100k is of base dreamerv3, this run's base is other; "
         "use --base dreamerv3, or blocks of other: atari100k_other"),
        (["atari100k"], {"base": "other"}, "block atari100k is of base dreamerv3, .* is other"),
        (["atari100k_other"], {"base": "dreamerv3"},
         "block atari100k_other is of base other, .*blocks of dreamerv3: small, medium"),
        (["atari100k_other"], {"rssm.deter": 8},
         "flag: 'rssm.deter' is a key of base dreamerv3, this run's base is other; use "
         "--base dreamerv3"),
        ([], {"blocks": 8},
         "'blocks' is a key of base other, this run's base is dreamerv3; use --base other"),
        ([], {"blocsk": 8}, "unknown key 'blocsk'"),
        (["atari100k_other"], {"blocks": 0}, "blocks must be at least 1"),
        ([], {"base": "dreamerv4"}, "expected one of dreamerv3, .*other, got 'dreamerv4'; did"),
        (["bases"], {}, "unknown config block 'bases'"),
    ],
)  # fmt: skip
def test_bases_do_not_mix(other, names, flags, message):
    with pytest.raises(UserError, match=message):
        configs.make(names, flags)


def test_a_file_of_another_base_is_named(other):
    tree = configs.to_dict(configs.make())
    with pytest.raises(UserError, match=r"it: '.*' is a key of base dreamerv3, .* base is other"):
        configs.load({**tree, "base": "other"}, "it")
    with pytest.raises(UserError, match="it: base: expected one of dreamerv3"):
        configs.load({**tree, "base": "none"}, "it")


def test_each_key_has_one_default():
    every = configs.blocks()
    for base in bases.MODULES:
        stated = overrides.flatten({**every["defaults"], **every["bases"][base]})
        if base == bases.DEFAULT:  # Others may want other runs.
            assert not [key for key in stated if key.startswith(("run.", "env."))]
        assert not set(every["defaults"]) & set(every["bases"][base])
