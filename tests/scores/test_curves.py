"""Curves by hand."""

import numpy as np
import pytest

from scores import curves, load, protocol


def load_one(*sources):
    ((group,), _) = load.load([str(source) for source in sources])
    (column,) = protocol.columns([group])
    return group, column


def test_bins_close_on_the_right(write_run):
    group, _ = load_one(
        write_run("a", trains=[(4, 1), (20_000, 3), (20_004, 7), (400_000, 9), (400_004, 99)])
    )
    found = curves.binned(group.runs[0], "train-window", 400_000)
    assert found.shape == (20,)
    assert found[[0, 1, 19]].tolist() == [2, 7, 9]
    assert np.isnan(found[2:19]).all()


def test_learning_curve_over_seeds_with_other_steps(write_run):
    group, column = load_one(
        write_run("a", seed=0, evals={200_000: [10], 400_000: [20]}),
        write_run("b", seed=1, evals={400_000: [40]}),
    )
    found = curves.learning_curve(group, "pong", column, None, "sd")
    assert found.frames.tolist() == [200_000, 400_000]
    assert found.mean.tolist() == [10, 30]
    assert found.low.tolist() == [10, 20]  # standard deviation of 20 and 40
    assert found.high.tolist() == [10, 40]
    band = curves.learning_curve(group, "pong", column, None, "ci")
    assert band.mean.tolist() == [10, 30]
    assert (band.low[1], band.high[1]) == (20, 40)
    assert curves.learning_curve(group, "hero", column, None, "sd") is None
    (trained,) = protocol.columns([group], "train-window")
    assert curves.learning_curve(group, "pong", trained, None, "sd") is None


def test_efficiency_counts_only_bins_with_every_game(write_run):
    group, column = load_one(
        write_run("a", "atari_pong", evals={200_000: [15], 400_000: [15]}),
        write_run("b", "atari_boxing", evals={400_000: [6]}),
    )
    found = curves.efficiency(group, column, None)
    assert found.frames.tolist() == [400_000]
    assert found.mean == pytest.approx([0.75])  # 1 and 0.5
    group, column = load_one(write_run("c", "catch", evals={400: [6]}))
    assert curves.efficiency(group, column, None) is None


def test_profile_is_the_share_of_runs_above(write_harmony):
    _, column = load_one(write_harmony("a.json", {"pong": [-21, 15, 16]}))
    found = curves.profile(column)
    share = dict(zip(found.frames.round(3), found.mean))
    assert share[0.0] == pytest.approx(2 / 3)
    assert share[1.0] == pytest.approx(1 / 3)  # human is not above human
    assert share[1.5] == 0
    assert (np.diff(found.mean) <= 0).all()
    assert ((found.low <= found.mean) & (found.mean <= found.high)).all()
