"""Runs among the seeds of other curves."""

import json

import pytest

from embodied.core.errors import UserError
from scores import load, place
from scores.__main__ import main

SEEDS = [[0, 10, 20, 40], [4, 14, 24, 36], [8, 6, 28, 38]]  # At 100, 200, 300, 400 frames.


@pytest.fixture
def published(tmp_path):
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({"steps": [100, 200, 300, 400], "score": {"pong": SEEDS}}))
    return path


@pytest.fixture
def ours(write_run):
    # Below; on the edge, which is inside; between two frames; above; beyond; mean of two.
    evals = {100: [-1], 200: [6], 250: [18], 300: [28.5], 400: [37, 39], 500: [0]}
    return write_run("run", evals=evals)


def test_each_evaluation_has_a_place(published, ours):
    groups, _ = load.load([str(ours)])
    (others,), _ = load.load([f"theirs={published}"], ["pong"])
    (placed,) = place.place(groups, others)
    found = [(p.frame, p.score, p.episodes, p.low, p.high, p.where) for p in placed.points]
    assert found[:5] == [
        (100, -1, 1, 0, 8, "below"),
        (200, 6, 1, 6, 14, "inside"),
        (250, 18, 1, 15, 19, "inside"),  # Halfway: 15, 19, 17.
        (300, 28.5, 1, 20, 28, "above"),
        (400, 38, 2, 36, 40, "inside"),
    ]
    assert found[5][5] == "" and found[5][3] != found[5][3]
    assert placed.points[2].mean == 17
    words = placed.sentence
    assert "inside at 3, above at 1, below at 1 of 5 evaluations; 1 more beyond" in words
    assert "the 3 seeds of theirs" in words and "inside at 50% of them" in words


def test_the_verb(published, ours, write_run, tmp_path, capsys):
    write_run("other", task="atari_boxing", evals={100: [1]})  # Nothing to place it on.
    picture = tmp_path / "placed.png"
    line = ["place", f"mine={ours}", str(tmp_path / "other"), "--among", f"theirs={published}"]
    assert main([*line, "--figure", str(picture)]) == 0
    shown = capsys.readouterr().out
    assert "mine seed 0 on Pong, among theirs" in shown and "below" in shown
    assert "Boxing" not in shown and picture.read_bytes()[:4] == b"\x89PNG"
    out = tmp_path / "placed.json"
    assert main([*line, "--format", "json", "--out", str(out)]) == 0
    entries = json.loads(out.read_text())["entries"]
    assert [entry["where"] for entry in entries][:2] == ["below", "inside"]
    assert entries[-1]["low"] is None and entries[0]["method"] == "mine"


def test_training_episodes_serve_where_there_are_no_evaluations(write_upstream, ours):
    runs = [("atari_pong", "theirs", seed, [100, 500], [0, 4 * seed]) for seed in (0, 1)]
    path = write_upstream("scores.json.gz", runs)
    (others,), _ = load.load([str(path)], ["pong"])
    (placed,) = place.place(load.load([str(ours)])[0], others)
    assert [p.high for p in placed.points][-2:] == [3, 4]


def test_messages(published, ours, write_run):
    (others,), _ = load.load([str(published)], ["pong"])
    (paper,), _ = load.load(["paper:harmony"])
    groups = load.load([str(ours)])[0]
    with pytest.raises(UserError, match="final scores only"):
        place.place(groups, paper)
    boxing = load.load([str(write_run("b", task="atari_boxing", evals={1: [2]}))])[0]
    with pytest.raises(UserError, match="has no curve of Boxing"):
        place.place(boxing, others)
    young = load.load([str(write_run("y", trains=[(10, 1)]))])[0]
    with pytest.raises(UserError, match="no run has an evaluation yet"):
        place.place(young, others)
