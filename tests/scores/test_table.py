"""The table: Table 2 of the paper, and what is told about doubtful cells."""

import numpy as np
import pytest

from scores import games, grid, load, protocol, table


def build(*sources, only=None, name=None):
    groups, _ = load.load([str(source) for source in sources], only)
    return table.build(protocol.columns(groups, name), only=only)


def row(made, title):
    for block in table.grid(made).blocks:
        for cells in block:
            if cells[0].text == title:
                return cells
    raise AssertionError(title)


def test_table_2_is_rebuilt_from_the_bundled_numbers():
    made = build("paper:all")
    printed = {
        "Random": "0%", "Human": "100%", "paper:simple": "33%", "paper:twm": "96%",
        "paper:iris": "105%", "paper:dreamerv3": "112%", "paper:dreamerv3-reproduced": "108%",
        "paper:harmony": "136.5%",
    }  # fmt: skip
    cells = row(made, "Human mean, as printed")
    assert [cell.text for cell in cells[3:]] == list(printed.values())[2:]
    assert [cell.text for cell in row(made, "Human median, as printed")[3:]] == [
        "13%", "51%", "29%", "49%", "42%", "67.1%",
    ]  # fmt: skip
    # Every printed aggregate but one is that of the printed cells, to the printed digits.
    for name, column in games.published().items():
        if column.source:  # Nothing was printed of these.
            continue
        scores = np.array([[column.scores[game] for game in games.atari100k()]])
        of_cells = games.normalised(games.atari100k(), scores)
        if name != "harmony":
            assert f"{of_cells.mean():.0%}" == f"{column.printed['mean']:.0%}"
            assert f"{np.median(of_cells):.0%}" == f"{column.printed['median']:.0%}"
    alien = row(made, "Alien")
    assert [cell.text for cell in alien[1:]] == [
        "228", "7128", "617", "675", "420", "959", "786", "890",
    ]  # fmt: skip
    assert [cell.bold for cell in alien[1:]] == [False] * 5 + [True, False, False]


def test_the_one_aggregate_that_rounding_changes_is_explained():
    made = build("paper:all")
    assert row(made, "Human mean")[-1].text == "1.368"
    notes = [note for note in made.notes if "its paper prints" in note]
    assert len(notes) == 1
    assert "136.5%; its cells, printed as whole scores, give 136.8%" in notes[0]
    assert "Boxing 12" in notes[0]


def test_published_means_have_no_iqm_and_no_intervals():
    made = build("paper:harmony")
    assert row(made, "IQM")[-1].text == "–"
    assert row(made, "Human mean")[-1].detail == ""


def test_bold_within_5_percent_also_of_negative_scores(write_harmony):
    a = write_harmony("a.json", {"pong": [-20, -20], "hero": [100, 100]})
    b = write_harmony("b.json", {"pong": [-20.9, -20.9], "hero": [94, 94]})
    made = build(a, b)
    assert [cell.bold for cell in row(made, "Pong")[3:]] == [True, True]
    assert [cell.bold for cell in row(made, "Hero")[3:]] == [True, False]


def test_a_partial_sweep_shows_what_is_missing_and_does_not_compete(write_harmony):
    full = write_harmony("full.json", {game: [9, 9] for game in games.atari100k()})
    part = write_harmony("part.json", {"breakout": [30, 30], "pong": [15, 15, 15]})
    made = build(full, part)
    assert row(made, "Alien")[-1].text == "–"
    assert row(made, "Games")[-1].text == "2 of 26"
    assert row(made, "Seeds")[-1].text == "2–3"
    mean = row(made, "Human mean")[-1]
    assert mean.value == pytest.approx(1)
    assert set(mean.marks) == set("¶‡")
    assert not mean.bold
    assert row(made, "Breakout")[-1].marks == "‡"
    assert any("fewer seeds" in note for note in made.notes)
    text = grid.text(table.grid(made))
    assert "Breakout" in text
    assert "‡" in text


def test_mixed_protocols_are_told(write_run):
    episodes = [(399_000, 3)]
    a = write_run("a", method="a", evals={400_000: [1]}, trains=episodes)
    b = write_run("b", method="b", trains=episodes)
    mixed = build(a, b)
    assert [cell.text for cell in row(mixed, "Protocol")[3:]] == ["final-eval", "train-window"]
    assert any(note.startswith("MIXED PROTOCOLS") for note in mixed.notes)
    same = build(a, b, name="train-window")
    assert not any("MIXED" in note for note in same.notes)
    biased = build(a, name="best-eval")
    assert any("BIASED" in note for note in biased.notes)


def test_tasks_without_human_scores_have_a_table_without_aggregates(write_run):
    made = build(write_run("a", "catch_easy", evals={400: [0.5, 1.0]}))
    assert row(made, "catch_easy")[-1].text == "0.75"
    shown = table.grid(made)
    assert shown.title == "Scores at 400 frames"
    assert shown.header == ["Game", "ours"]
    assert [line[0].text for block in shown.blocks for line in block] == [
        "Protocol", "Seeds", "catch_easy",
    ]  # fmt: skip
    assert [record["row"] for record in table.records(made)] == ["catch_easy"]


def test_only_some_games():
    made = build("paper:harmony", only=["pong", "boxing"])
    assert list(made.games) == ["pong", "boxing"]
    # Pong 40/36, Boxing 80/12.
    assert row(made, "Human mean")[-1].value == pytest.approx((40 / 36 + 80 / 12) / 2)
    assert row(made, "Human mean")[-1].marks == ""


def test_records_hold_every_number(write_harmony):
    path = write_harmony("a.json", {"pong": [-20, -10]})
    found = {record["row"]: record for record in table.records(build(path))}
    assert len(found) == 26 + 4
    assert found["pong"] | {"low": 0, "high": 0} == {
        "row": "pong", "kind": "game", "column": "a", "protocol": "final-eval", "value": -15,
        "low": 0, "high": 0, "seeds": 2, "episodes": None, "best": False, "flags": [],
    }  # fmt: skip
    assert found["pong"]["low"] == -20
    assert found["alien"]["seeds"] == 0
    assert found["iqm"]["kind"] == "aggregate"
