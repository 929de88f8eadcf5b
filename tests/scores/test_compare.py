"""The comparison of two columns."""

import pytest

from embodied.core.errors import UserError
from scores import compare, games, grid, load, protocol


@pytest.fixture
def columns(write_harmony):
    def make(a, b):
        paths = [write_harmony(f"{name}.json", finals) for name, finals in (("a", a), ("b", b))]
        return protocol.columns(load.load([str(path) for path in paths])[0])

    return make


def around(center, spread=1.0):
    return [center + spread * step for step in (-2, -1, 0, 1, 2)]


def test_a_clearly_better_column(columns):
    found = compare.compare(*columns({"pong": around(-10)}, {"pong": around(10)}))
    (row,) = found.rows
    assert (row.a, row.b, row.verdict) == (-10, 10, "better")
    assert row.difference.value == 20
    assert row.difference.low < 20 < row.difference.high
    assert (found.improvement.value, found.verdict, found.worse) == (1, "better", False)
    # 20 points of Pong's 36 between random and human.
    assert found.aggregates["mean"].value == pytest.approx(20 / 36)


def test_worse_on_one_game_is_worse_for_ci(columns):
    every = {game: around(100) for game in games.atari100k()[:10]}
    worse = {**every, "alien": around(10)}
    found = compare.compare(*columns(every, worse))
    assert {row.verdict for row in found.rows} == {"worse", "undecided"}
    assert found.verdict == "undecided"
    assert found.worse


def test_p_values_are_corrected_over_games(columns):
    a = {"pong": around(0), "alien": around(0, 50)}
    found = compare.compare(*columns(a, {"pong": around(3), "alien": around(1, 50)}))
    rows = {row.game: row for row in found.rows}
    assert rows["pong"].corrected == pytest.approx(2 * rows["pong"].difference.p)
    assert rows["alien"].corrected == rows["alien"].difference.p


def test_permutation_says_when_it_can_decide_nothing(columns):
    every = {game: around(100) for game in games.atari100k()}
    found = compare.compare(*columns(every, {g: around(900) for g in every}), "permutation")
    assert {row.verdict for row in found.rows} == {"undecided"}
    assert any("may decide no" in note for note in found.notes)
    assert found.verdict == "better"


def test_only_games_of_both_count(columns):
    found = compare.compare(*columns({"pong": [1, 2], "hero": [1, 2]}, {"pong": [1, 2]}))
    assert [row.game for row in found.rows] == ["pong"]
    assert any("Not compared" in note and "hero" in note for note in found.notes)
    with pytest.raises(UserError, match="no game in common"):
        compare.compare(*columns({"hero": [1, 2]}, {"pong": [1, 2]}))


def test_one_seed_or_published_means_decide_nothing(columns, write_harmony):
    found = compare.compare(*columns({"pong": [0]}, {"pong": around(15)}))
    assert (found.verdict, found.rows[0].verdict) == ("undecided", "undecided")
    groups, _ = load.load(["paper:harmony", str(write_harmony("x.json", {"pong": around(0)}))])
    found = compare.compare(*protocol.columns(groups))
    assert (found.verdict, found.rows[0].verdict) == ("undecided", "undecided")
    assert found.rows[0].difference.value == -19
    assert any("Published means" in note for note in found.notes)
    assert "–" in grid.text(compare.grid(found))


def test_tasks_without_human_scores_are_compared_too(write_run):
    for method, scores in (("a", around(0)), ("b", around(9))):
        for seed, score in enumerate(scores):
            write_run(f"{method}{seed}", "catch", seed, method, evals={400: [score]})
    folders = [str(path) for path in sorted(write_run("zz").parent.iterdir())]
    groups, _ = load.load(folders)
    found = compare.compare(*protocol.columns(groups[:2]))
    assert found.verdict == "better"
    assert found.aggregates == {}


def test_references_give_aggregates_outside_atari(columns):
    before = {"toy easy": around(2, 0), "toy hard": around(10, 0)}
    after = {"toy easy": around(3, 0), "toy hard": around(15, 0)}
    scales = {"toy easy": (1.0, 5.0), "toy hard": (0.0, 20.0)}
    change = compare.compare(*columns(before, after), references=scales)
    # One of 4 points, and five of 20: a quarter each.
    assert change.aggregates["mean"].value == pytest.approx(0.25)
    assert "toy easy 1, 5" in change.notes[-1]
    assert not compare.compare(*columns(before, after)).aggregates


def test_grid_and_records(columns):
    found = compare.compare(*columns({"pong": around(-10)}, {"pong": around(10)}))
    text = grid.text(compare.grid(found))
    assert text.startswith("b against a: overall better; games: 1 better, 0 worse, 0 undecided")
    assert "+20.0" in text
    rows = {record["row"]: record for record in compare.records(found)}
    assert rows["pong"]["verdict"] == "better"
    assert rows["pong"]["seeds_a"] == 5
    assert rows["probability_of_improvement"]["difference"] == 1
    assert len({tuple(record) for record in map(sorted, rows.values())}) == 1


def test_mixed_protocols_are_told(write_run):
    a = write_run("a", method="a", evals={400_000: [1]})
    b = write_run("b", method="b", trains=[(400_000, 1)])
    groups, _ = load.load([str(a), str(b)])
    found = compare.compare(*protocol.columns(groups))
    assert any(note.startswith("MIXED PROTOCOLS: a is final-eval") for note in found.notes)
