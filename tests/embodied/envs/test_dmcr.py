"""DMC Remastered: looks follow from the visual seed alone, one factor leaves the others alone."""

import cv2
import numpy as np
import pytest

import embodied.envs
from embodied.core.errors import UserError
from embodied.envs import dmc, dmcr
from embodied.envs._tools import looks, physics, textures

pytest.importorskip("dm_control")
pytestmark = pytest.mark.filterwarnings("default")  # MuJoCo's Python packages warn as they like.

DOMAINS = {
    "cheetah": "run", "walker": "run", "cartpole": "balance", "ball_in_cup": "catch",
    "finger": "spin", "fish": "swim", "hopper": "hop", "humanoid": "walk", "pendulum": "swingup",
    "reacher": "easy",
}  # fmt: skip


def bare(task, visual, **options):
    """Returns a task dressed without a renderer."""
    env = embodied.envs.make(
        task, 0, {"image": False, "vectors": True, "visual": visual, **options}
    )
    env.step(None)
    return env.unwrapped


def numbers(env):
    """Returns all that a look decides."""
    model = env._env.physics.model.ptr
    found = physics.arrays(model)
    light = {f"headlight_{k}": getattr(model.vis.headlight, k).copy() for k in env._light}
    return {**found, **light, "textures": model.tex_data.copy()}


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_stock_look_is_the_suite_but_for_the_list(domain):
    task = f"{domain}_{DOMAINS[domain]}"
    settings = {"image": False, "vectors": True, "visual": 0}
    env = embodied.envs.make(f"dmcr_{task}", 0, settings).unwrapped  # No episode moved targets.
    env._dress()
    suite = dmc.DMC(task, 0, dmc.Options(image=False))
    ours, theirs = numbers(env), suite._model
    differing = {key for key in theirs if not np.array_equal(ours[key], theirs[key])}
    changed = {"mat_texrepeat"}
    changed |= {"geom_size"} if domain == "cheetah" else set()
    changed |= {"light_pos", "light_pos0", "light_poscom0"} if domain == "reacher" else set()
    if domain in ("ball_in_cup", "pendulum"):
        changed |= {"cam_pos", "cam_pos0", "cam_poscom0"}
    if domain == "pendulum":
        changed |= {"cam_quat", "cam_mat0"}
    assert differing == changed


def test_the_pendulums_camera():
    model = bare("dmcr_pendulum_swingup", 0)._env.physics.model.ptr
    np.testing.assert_allclose(model.cam_pos[0], [0.1, -1, 1.5])
    turned = model.cam_mat0[0].reshape(3, 3)
    np.testing.assert_allclose(turned[:, 0], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(turned[:, 1], np.array([0, 0.5, 1]) / np.sqrt(1.25), atol=1e-12)


def test_a_seed_fixes_the_look_and_the_dynamics_are_the_suites():
    rolls = []
    for visual in (5, 5, 6):
        env = bare("dmcr_cheetah_run", visual)
        rng = np.random.default_rng(0)
        steps = [env.step(rng.uniform(-1, 1, 6)) for _ in range(5)]
        rolls.append((numbers(env), [(o["reward"], o["position"], o["velocity"]) for o in steps]))
    for key, value in rolls[0][0].items():
        np.testing.assert_array_equal(value, rolls[1][0][key])
    for one, two in zip(rolls[0][1], rolls[2][1]):
        for ours, theirs in zip(one, two):
            np.testing.assert_array_equal(ours, theirs)
    different = {
        key for key, value in rolls[0][0].items() if not np.array_equal(value, rolls[2][0][key])
    }
    assert {"textures", "mat_rgba", "cam_pos", "light_pos", "headlight_diffuse"} <= different


FIELDS = {
    "bg": {"textures"},
    "floor": {"textures"},
    "body": {"mat_rgba"},
    "target": {"mat_rgba"},
    "reflectance": {"mat_reflectance"},
    "camera": {"cam_pos", "cam_pos0", "cam_poscom0"},
    "light": {"light_pos", "light_pos0", "light_poscom0", "headlight_ambient", "headlight_diffuse",
              "headlight_specular"},
}  # fmt: skip


@pytest.mark.parametrize("factor", dmcr.FACTORS)
def test_a_factor_changes_only_its_own_fields(factor):
    task, visual = "dmcr_reacher_easy", 77
    every, one = numbers(bare(task, visual)), numbers(bare(task, visual, factors=factor))
    none = numbers(bare(task, 0))
    for key, value in one.items():
        if key == "textures":
            continue  # Their number of pixels differs.
        expected = every[key] if key in FIELDS[factor] and key != "mat_rgba" else none[key]
        if key == "mat_rgba" and factor in ("body", "target"):
            rows = (value != none[key]).any(-1)
            assert rows.any()
            np.testing.assert_array_equal(value[rows], every[key][rows])
        else:
            np.testing.assert_array_equal(value, expected, err_msg=key)


def test_textures_written_are_those_compiled():
    """Writing pixels into the compiled model gives what compiling the pictures gives."""
    written = bare("dmcr_cartpole_balance", 123)
    pictures = looks.scene(written._env.physics.model.ptr, 123, set(dmcr.FACTORS))

    def patch(xml, assets):
        xml, assets = dmcr.DMCR._patch(written, xml, assets)
        sky = textures.sky(int(pictures["skybox"] * textures.SKIES))
        floor = textures.floor(int(pictures["grid"] * textures.FLOORS))
        for name, image in (("skybox", sky), ("grid", floor)):
            assets[f"{name}.png"] = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
        return xml, assets

    compiled = dmc.load_patched("cartpole", "balance", 0, patch).physics.model.ptr
    model = written._env.physics.model.ptr
    assert (model.tex_width == compiled.tex_width).all()
    np.testing.assert_array_equal(model.tex_data, compiled.tex_data)


def test_splits_have_seeds_of_their_own():
    settings = {"dmcr": vars(dmcr.Options(image=False, vectors=True))}
    for evaluation, low, high in ((False, 1, 900_000), (True, 900_001, 1_000_000)):
        options = embodied.envs.options_of("dmcr_walker_run", settings, evaluation)
        env = embodied.envs.make("dmcr_walker_run", 0, {**options, "repeat": 1000})
        seen = set()
        for _ in range(10):
            env.step(np.zeros(6, np.float32))
            seen.add(env.unwrapped._visual)
        assert len(seen) == 5 and min(seen) >= low and max(seen) <= high


def test_seeds_and_exact_resume(check_seeds, check_resume):
    vectors = {"image": False, "vectors": True, "repeat": 100}
    check_seeds("dmcr_walker_run", vectors, 12)
    check_resume("dmcr_walker_run", vectors, 14, 25)


def test_images_resume(check_resume):
    seen = check_resume("dmcr_cartpole_balance", {"repeat": 250}, 3, 7)
    images = {obs["image"].tobytes() for obs in seen if obs["is_first"]}
    assert len(images) == 1 and seen[0]["image"].std() > 5  # One episode begins within.


@pytest.mark.slow
@pytest.mark.parametrize("domain", DOMAINS)
def test_every_domain_renders(domain, check_resume):
    seen = check_resume(f"dmcr_{domain}_{DOMAINS[domain]}", {"repeat": 500}, 2, 6)
    assert all(obs["image"].std() > 5 for obs in seen)


def test_a_folder_of_images(tmp_path):
    for name, value in (("sky_a.png", 200), ("tiles.png", 90)):
        cv2.imwrite(str(tmp_path / name), np.full((300, 300, 3), value, np.uint8))
    model = bare("dmcr_walker_run", 9, textures=str(tmp_path))._env.physics.model.ptr
    assert set(np.unique(model.tex_data)) == {90, 200}
    with pytest.raises(UserError, match="expected images"):
        bare("dmcr_walker_run", 9, textures=str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("task", "options", "words"),
    [
        ("dmcr_walker_runn", {}, "did you mean 'dmcr_walker_run'"),
        ("dmcr_quadruped_walk", {}, "looks are known of the domains cheetah, walker"),
        ("dmcr_walker_run", {"factors": "bg,flor"}, "did you mean 'floor'"),
        ("dmcr_walker_run", {"split": "tset"}, "did you mean 'test'"),
        ("dmcr_walker_run", {"visual": 10**7}, "env.dmcr.visual must be at least -1 and at most"),
    ],
)
def test_mistakes(task, options, words):
    with pytest.raises(UserError, match=words):
        embodied.envs.make(task, 0, options)
