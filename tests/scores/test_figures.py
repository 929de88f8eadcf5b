"""Figures hold what they should; how they look was checked by eye."""

import numpy as np
import pytest

from embodied.core.errors import UserError
from scores import compare, figures, forest, games, load, protocol, style, table


@pytest.fixture
def loaded(write_harmony):
    rng = np.random.default_rng(0)
    names = games.atari100k()[:7]
    paths = [
        write_harmony(f"{name}.json", {game: rng.gamma(2, 100, 3).tolist() for game in names})
        for name in ("first", "second")
    ]
    groups, _ = load.load(["paper:iris", *map(str, paths)])
    return groups, protocol.columns(groups)


def texts(figure):
    return " ".join(text.get_text() for axes in figure.axes for text in [axes.title, *axes.texts])


def test_learning_curves_have_a_panel_a_game(loaded):
    figure = figures.learning_curves(*loaded, None, "sd")
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == [games.title(g) for g in games.atari100k()[:7]]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:2] == ["first", "second"]
    assert "random" in labels
    assert len(shown[0].collections) == 2  # a band each


def test_a_column_looks_the_same_in_every_figure(loaded):
    groups, columns = loaded
    drawn = [
        figures.learning_curves(groups, columns, None, "ci").axes[0],
        figures.profiles(columns).axes[0],
        figures.efficiencies(groups, columns, None).axes[0],
    ]
    for axes in drawn:
        lines = {line.get_label(): line for line in axes.get_lines()}
        looks = [(line.get_color(), line.get_linestyle(), line.get_marker())
                 for line in (lines["first"], lines["second"])]  # fmt: skip
        assert looks == [("#D55E00", "--", "s"), ("#009E73", "-.", "D")]


def test_bars_show_every_column(loaded):
    _, columns = loaded
    figure = figures.bars(table.build(columns))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["paper:iris", "first", "second"]
    assert len(figure.axes) == 4
    assert "needs single runs" in texts(figure)


def test_forest_has_a_row_a_game_and_one_for_all(loaded):
    _, (_, first, second) = loaded
    axes = forest.forest(compare.compare(first, second)).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert len(labels) == 8
    assert labels[-1] == "IQM, all games"
    assert axes.get_title().startswith("second against first: ")


@pytest.mark.parametrize("suffix", style.FORMATS)
def test_saved_files_are_of_their_format_and_repeat(loaded, tmp_path, suffix):
    path = tmp_path / f"figure{suffix}"
    data = []
    for _ in range(2):
        style.save(figures.profiles(loaded[1]), path)
        data.append(path.read_bytes())
    assert (
        data[0][:200]
        .lstrip()
        .startswith({".png": b"\x89PNG", ".pdf": b"%PDF"}.get(suffix, b"<?xml"))
    )
    assert data[0] == data[1]


def test_what_cannot_be_drawn_or_written_is_the_users_error(tmp_path):
    groups, _ = load.load(["paper:iris"])
    columns = protocol.columns(groups)
    with pytest.raises(UserError, match="final scores only"):
        figures.learning_curves(groups, columns, None, "sd")
    with pytest.raises(UserError, match="scores per seed"):
        figures.profiles(columns)
    with pytest.raises(UserError, match=r"ends in \.png, \.svg, \.pdf"):
        style.check(tmp_path / "a.jpg")
    with pytest.raises(UserError, match="there is no folder"):
        style.check(tmp_path / "no" / "a.png")
