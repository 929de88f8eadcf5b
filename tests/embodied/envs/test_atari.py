"""Atari: the benchmark's settings against the bare emulator, exact resume, the no-op trap."""

import ale_py
import cv2
import numpy as np
import pytest
from ale_py import roms

import embodied.envs
from embodied.core.errors import UserError
from embodied.envs import atari
from embodied.envs._tools import doctor

# Sizes of the minimal action sets, as published for the benchmark's games.
ACTIONS = {
    18: "alien bank_heist battle_zone boxing chopper_command frostbite hero jamesbond kangaroo "
    "krull private_eye road_runner seaquest",
    14: "kung_fu_master",
    10: "amidar",
    9: "asterix crazy_climber ms_pacman",
    8: "gopher",
    7: "assault",
    6: "demon_attack pong qbert up_n_down",
    4: "breakout",
    3: "freeway",
}
COUNTS = {game: count for count, games in ACTIONS.items() for game in games.split()}


class Fixed:
    """Stands for the generator where a test wants to know the number of no-ops."""

    def __init__(self, noops):
        self.noops = noops

    def integers(self, high):
        assert high == 30  # From 0 to 29.
        return self.noops


def test_names_the_games_of_the_benchmark_first():
    assert len(COUNTS) == 26
    known = embodied.envs.tasks("atari")
    assert sorted(known[:26]) == sorted(f"atari_{game}" for game in COUNTS)
    assert len(set(known)) == len(known) > 100


@pytest.mark.parametrize("game", sorted(COUNTS))
def test_every_game_starts_with_its_actions(game):
    env = embodied.envs.make(f"atari_{game}", 0)
    assert env.act_space["action"].shape == (COUNTS[game],)
    assert env.act_space["action"].discrete
    assert env.obs_space["image"].shape == (64, 64, 3)
    assert env.repeat == 4
    obs = env.step(None)
    assert obs["image"].max() > obs["image"].min()


@pytest.mark.parametrize("game", ["pong", "breakout", "freeway"])
def test_actions_change_the_screen(game):
    assert doctor.actions_matter(game)


@pytest.mark.slow
@pytest.mark.parametrize("game", sorted(COUNTS))
def test_actions_change_the_screen_of_every_game(game):
    assert doctor.actions_matter(game)


def test_the_no_op_trap_is_seen(monkeypatch):
    act = ale_py.ALEInterface.act
    monkeypatch.setattr(ale_py.ALEInterface, "act", lambda self, action: act(self, 0))
    assert not doctor.actions_matter("pong")


def bare(seed, noops):
    """Returns the emulator itself after some no-ops."""
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", seed)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(str(roms.get_rom_path("pong")))
    ale.reset_game()
    for _ in range(noops):
        ale.act(0)
    return ale


@pytest.mark.parametrize("gray", [False, True])
def test_frames_are_the_maximum_of_the_last_two_shrunk_by_area(gray):
    env = atari.Atari("pong", 7, atari.Options(gray=gray))
    env._rng = Fixed(11)
    ale = bare(int(np.random.default_rng(7).integers(2**31)), 11)
    grab = ale.getScreenGrayscale if gray else ale.getScreenRGB

    def shrink(frame):
        return cv2.resize(frame, (64, 64), interpolation=cv2.INTER_AREA).reshape(64, 64, -1)

    first = env.step(None)["image"]
    assert first.shape == (64, 64, 1 if gray else 3)
    np.testing.assert_array_equal(first, shrink(grab()))
    rng = np.random.default_rng(0)
    for _ in range(150):
        action = int(rng.integers(6))
        reward, frames = 0, []
        for _ in range(4):
            reward += ale.act(ale.getMinimalActionSet()[action])
            frames.append(grab())
        obs = env.step(np.eye(6, dtype=np.float32)[action])
        np.testing.assert_array_equal(obs["image"], shrink(np.maximum(frames[2], frames[3])))
        assert obs["reward"] == reward


def test_the_number_of_no_ops_is_spread_over_0_to_29():
    env = atari.Atari("pong", 0, atari.Options(length=4))
    frames = []
    for _ in range(200):
        env.step(None)
        frames.append(env._ale.getEpisodeFrameNumber())
        assert env.step(np.eye(6, dtype=np.float32)[0])["is_last"]
    assert min(frames) == 0 and max(frames) == 29 and len(set(frames)) > 25


def test_time_limit_is_no_terminal_end_unless_asked():
    for option in (False, True):
        env = embodied.envs.make("atari_pong", 0, {"length": 42, "timeout_is_terminal": option})
        env.step(None)
        ends = [env.step(np.eye(6, dtype=np.float32)[0]) for _ in range(11)]
        # 42 frames are ten steps of 4 and one of 2.
        assert [bool(obs["is_last"]) for obs in ends] == [False] * 10 + [True]
        assert bool(ends[-1]["is_terminal"]) is option


def test_caps():
    assert atari.time_limit("pong", atari.Options()) == 108_000
    assert atari.time_limit("chopper_command", atari.Options()) == 5_400
    assert atari.time_limit("chopper_command", atari.Options(length=10)) == 10
    env = embodied.envs.make("atari_chopper_command", 0)
    env.step(None)
    idle = np.eye(18, dtype=np.float32)[0]
    steps = 1
    while not env.step(idle)["is_last"]:
        steps += 1
    assert steps <= 1350


def test_losing_a_life(roll):
    """Breakout: five balls; fire (action 1) brings the next into play."""
    fire = np.eye(4, dtype=np.float32)[1]
    lengths = {}
    for lives in ("unused", "continue", "reset"):
        env = embodied.envs.make("atari_breakout", 0, {"lives": lives})
        left, ends = [], 0
        for _ in range(400):
            obs = env.step(fire)
            if obs["is_last"]:
                ends += 1
                assert obs["is_terminal"]
                left.append(env.unwrapped._ale.lives())
        lengths[lives] = (ends, left[:6])
    # Without moving, a ball lasts some 40 steps: games end after five of them.
    assert set(lengths["unused"][1]) == {0}
    assert lengths["continue"][1] == [4, 3, 2, 1, 0, 4]
    assert lengths["reset"][1] == [4] * 6
    assert lengths["unused"][0] * 4 < lengths["continue"][0]


def test_sticky_frames_repeat_the_action_before(monkeypatch):
    played = []
    act = ale_py.ALEInterface.act

    def record(self, action):
        played.append(action)
        return act(self, action)

    monkeypatch.setattr(ale_py.ALEInterface, "act", record)
    env = embodied.envs.make("atari_pong", 0, {"sticky": 0.25, "noops": 0})
    env.step(None)
    played.clear()
    for step in range(500):
        env.step(np.eye(6, dtype=np.float32)[2 + step % 2])
    kept = [played[4 * step] == played[4 * step - 1] for step in range(1, 500)]
    assert 0.18 < np.mean(kept) < 0.32
    # Within a step the action only ever changes once, to the chosen one.
    assert all(len(set(played[i : i + 4])) <= 2 for i in range(0, 2000, 4))


@pytest.mark.parametrize(
    ("task", "options", "before", "after"),
    [
        ("atari_pong", {}, 100, 200),
        ("atari_qbert", {}, 150, 200),
        ("atari_breakout", {"lives": "continue", "sticky": 0.25}, 120, 200),
        ("atari_freeway", {"length": 300, "gray": True}, 70, 200),
        ("atari_seaquest", {"actions": "all", "size": 32, "repeat": 2}, 0, 200),
    ],
)
def test_resume_is_exact(task, options, before, after, check_resume):
    check_resume(task, options, before, after)


def test_the_screen_after_a_lost_life_is_part_of_the_state():
    options, rng = {"lives": "continue"}, np.random.default_rng(0)
    env = embodied.envs.make("atari_breakout", 0, options)
    space, found = env.act_space["action"], 0
    for _ in range(2000):
        obs = env.step(space.sample(rng))
        if not (obs["is_last"] and env.unwrapped._playing):
            continue
        found += 1
        fresh = embodied.envs.make("atari_breakout", 1, options)
        fresh.load(env.save())
        action = space.sample(rng)
        np.testing.assert_array_equal(env.step(action)["image"], fresh.step(action)["image"])
    assert found >= 4


def test_the_action_that_sticks_is_part_of_the_state():
    options = atari.Options(sticky=0.999)
    env = atari.Atari("pong", 0, options)
    idle = np.eye(6, dtype=np.float32)[0]
    for _ in range(30):
        env.step(idle)
    env._held = 2  # As if a step before had got its way.
    fresh = atari.Atari("pong", 0, options)
    fresh.load(env.save())
    for _ in range(10):
        np.testing.assert_array_equal(env.step(idle)["image"], fresh.step(idle)["image"])
        assert env._held == fresh._held == 2


@pytest.mark.slow
@pytest.mark.parametrize("game", sorted(COUNTS))
def test_resume_is_exact_in_every_game(game, check_resume):
    check_resume(f"atari_{game}", {}, 400, 600)
    check_resume(f"atari_{game}", {"lives": "continue", "sticky": 0.25}, 400, 600)


def test_seeds(check_seeds):
    check_seeds("atari_pong", {}, 60)


def test_damaged_state():
    env = embodied.envs.make("atari_pong", 0)
    state = env.save()
    other = embodied.envs.make("catch_easy", 0).save()
    for data in (state[:100], b"", other):
        with pytest.raises(UserError, match="state"):
            env.load(data)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lives": "discont"}, "env.atari.lives must be one of unused, continue, reset"),
        ({"actions": "minmal"}, "did you mean 'minimal'"),
        ({"sticky": 1.0}, "chance below 1"),
        ({"repeat": 0}, "env.atari.repeat must be at least 1"),
        ({"ltngth": 3}, "did you mean 'length'"),
    ],
)
def test_bad_options(options, words):
    with pytest.raises(UserError, match=words):
        embodied.envs.make("atari_pong", 0, options)


def test_the_banner_is_silent(capfd):
    embodied.envs.make("atari_pong", 0).step(None)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
