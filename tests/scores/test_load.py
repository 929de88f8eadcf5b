"""Sources of the command line to groups."""

import pytest

from embodied.core.errors import UserError
from scores import games, load, read

ALL = {game: [1.0, 2.0] for game in games.atari100k()}


def test_folders_of_one_method_form_one_column(write_run, tmp_path):
    write_run("a", "atari_pong", 0, evals={4: [1]})
    write_run("b", "atari_pong", 1, evals={4: [1]})
    write_run("c", "atari_pong", 0, method="other", evals={4: [1]})
    groups, _ = load.load([str(tmp_path / name) for name in "abc"])
    assert [(group.name, len(group.runs)) for group in groups] == [("ours", 2), ("other", 1)]


def test_files_with_one_method_keep_apart_unless_named(write_upstream):
    runs = [("atari_pong", "dreamerv3", 0, [4, 9], [1, 2])]
    more = [("atari_pong", "dreamerv3", 1, [4, 9], [1, 2])]
    a, b = write_upstream("2023.json.gz", runs), write_upstream("2025.json.gz", more)
    names = [group.name for group in load.load([str(a), str(b)])[0]]
    assert names == ["dreamerv3 (2023)", "dreamerv3 (2025)"]
    ((group,), _) = load.load([f"mine={a}", f"mine={b}"])
    assert group.name == "mine"
    assert {run.seed for run in group.runs} == {0, 1}


def test_published_columns():
    groups, problems = load.load(["paper:all", "Us=paper:harmony", "human"])
    assert not problems
    assert [group.name for group in groups] == [
        "paper:simple", "paper:twm", "paper:iris", "paper:dreamerv3",
        "paper:dreamerv3-reproduced", "paper:harmony", "Us", "paper:human",
    ]  # fmt: skip
    (group,), _ = load.load(["paper:iris"], only=["pong"])
    assert group.published.scores == {"pong": 15}
    assert group.published.printed == {}


def test_one_method_of_several(write_upstream):
    points = [4, 9], [1, 2]
    path = write_upstream("a.json.gz", [("pong", m, 0, *points) for m in ("aa", "bb")])
    ((group,), _) = load.load([f"{path}::bb"])
    assert group.name == "bb"
    with pytest.raises(UserError, match="no method 'ba', only aa, bb; did you mean"):
        load.load([f"{path}::ba"])
    with pytest.raises(UserError, match="holds the methods aa, bb: take one with x="):
        load.load([f"x={path}"])


def test_duplicate_seeds_and_missing_games_are_reported(write_run, write_harmony, tmp_path):
    write_run("a", evals={4: [1]})
    write_run("b", evals={4: [2]})
    groups, problems = load.load([str(tmp_path)])
    assert groups[0].runs[0].path.endswith("a")
    text = " ".join(map(str, problems))
    assert "pong: seed 0 comes twice" in text
    assert "25 of 26 games missing: alien, " in text
    few = {game: seeds for game, seeds in ALL.items() if game not in ("pong", "hero")}
    _, problems = load.load([str(write_harmony("x.json", few))])
    assert [problem.reason for problem in problems] == ["2 of 26 games missing: hero, pong"]
    assert load.load([str(write_harmony("y.json", ALL))])[1] == []


def test_only_some_games(write_harmony):
    path = str(write_harmony("x.json", ALL))
    (group,), problems = load.load([path], only=["pong", "hero"])
    assert {run.game for run in group.runs} == {"pong", "hero"}
    assert problems == []


def test_huge_shapes_are_cut_and_reported(write_harmony, monkeypatch):
    monkeypatch.setattr(load, "MAX_SEEDS", 3)
    monkeypatch.setattr(load, "MAX_GAMES", 2)
    path = write_harmony("x.json", {"a": [1] * 5, "b": [1], "c": [1]})
    (group,), problems = load.load([str(path)])
    assert [run.game for run in group.runs] == ["a", "a", "a", "b"]
    assert [p.reason for p in problems] == ["a: more than 3 seeds, left out"] * 2 + [
        "c: more than 2 games in a column, left out"
    ]
    assert read.MAX_SEEDS >= 100


def test_nothing_to_read_is_the_users_error(tmp_path):
    for source, message in (
        (str(tmp_path), "no run folder in it"),
        (str(tmp_path / "absent"), "no such source"),
        ("paper:harmoni", "did you mean 'harmony'"),
    ):
        with pytest.raises(UserError, match=message):
            load.load([source])


def test_terminal_codes_in_names_are_not_printed(write_upstream):
    path = write_upstream("a.json.gz", [("pong\x1b[2J", "m\x1b[31m", 0, [4, 9], [1, 2])])
    (group,), _ = load.load([str(path)])
    assert group.name == "m?[31m"
    assert group.runs[0].game == "pong?[2J"


def test_a_pair_needs_one_column_a_side_and_two_names(write_upstream):
    points = [4, 9], [1, 2]
    one = write_upstream("one.json.gz", [("pong", "m", 0, *points)])
    two = write_upstream("two.json.gz", [("pong", m, 0, *points) for m in ("m", "n")])
    with pytest.raises(UserError, match="several methods: m, n"):
        load.load_pair([str(one), str(two)], None)
    pair, _ = load.load_pair([str(one), f"{two}::m"], None)
    assert [group.name for group in pair] == [f"m ({one})", f"m ({two}::m)"]
    pair, _ = load.load_pair([str(one), str(one)], None)
    assert len({group.name for group in pair}) == 2


def test_files_of_one_name_are_told_apart_by_their_path(write_upstream, tmp_path):
    runs = [("atari_pong", "m", 0, [4, 9], [1, 2])]
    for folder in "ab":
        (tmp_path / folder).mkdir()
    paths = [str(write_upstream(f"{folder}/scores.json.gz", runs)) for folder in "ab"]
    groups, _ = load.load(paths)
    assert [group.name for group in groups] == [f"m ({path})" for path in paths]
