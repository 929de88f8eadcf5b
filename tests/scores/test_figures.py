"""Figures hold what they should; how they look was checked by eye."""

import numpy as np
import pytest

from embodied.core.errors import UserError
from scores import figures, games, load, protocol, table


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


def test_the_legend_of_one_small_panel_is_whole(write_harmony):
    paths = [
        str(write_harmony(f"a_long_name_{n}.json", {"pong": [1, 2]})) for n in ("a", "b", "c", "d")
    ]
    groups, _ = load.load(paths)
    figure = figures.learning_curves(groups, protocol.columns(groups), None, "sd")
    figure.draw_without_rendering()
    box, width = figure.legends[0].get_window_extent(), figure.bbox.width
    assert box.x0 >= 0 and box.x1 <= width


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


def test_bars_label_their_axes_and_hold_every_interval(write_harmony):
    paths = [
        write_harmony("low.json", {"pong": [-25, -22, -24], "boxing": [-10, -3, -8]}),
        write_harmony("high.json", {"pong": [10, 12, 18], "boxing": [30, 50, 8]}),
    ]
    groups, _ = load.load([str(path) for path in paths])
    scores = table.build(protocol.columns(groups))
    axes = figures.bars(scores).axes
    assert axes[0].get_ylabel() == "Method"
    for each, key in zip(axes, table.TITLES):
        low, high = each.get_xlim()
        assert each.get_xlabel()
        for name in ("low", "high"):
            estimate = scores.entries[key, name].estimate
            assert low < estimate.low <= estimate.high < high


@pytest.mark.parametrize(("seeds", "text"), [(1, "one seed each"), (3, "standard deviation")])
def test_one_seed_has_no_deviation(write_harmony, seeds, text):
    path = write_harmony("a.json", {"pong": [1, 2, 3][:seeds], "catch": [1, 2, 3][:seeds]})
    groups, _ = load.load([str(path)])
    figure = figures.learning_curves(groups, protocol.columns(groups), None, "sd")
    assert text in figure.get_supxlabel()


def test_what_cannot_be_drawn_is_the_users_error(write_run):
    groups, _ = load.load(["paper:iris"])
    columns = protocol.columns(groups)
    with pytest.raises(UserError, match="final scores only"):
        figures.learning_curves(groups, columns, None, "sd")
    with pytest.raises(UserError, match="scores per seed"):
        figures.profiles(columns)
    groups, _ = load.load([str(write_run("a", "catch", evals={4: [1]}))])
    with pytest.raises(UserError, match="games with a human score"):
        figures.bars(table.build(protocol.columns(groups)))
