"""The forest plot shows every row, and every interval whole."""

import numpy as np
import pytest

from scores import compare, forest, games, load, protocol


def comparison(write_harmony, names, spread):
    rng = np.random.default_rng(0)
    paths = [
        write_harmony(f"{name}.json", {g: rng.normal(0, spread, 4).tolist() for g in names})
        for name in ("first", "second")
    ]
    groups, _ = load.load([str(path) for path in paths])
    return compare.compare(*protocol.columns(groups))


@pytest.mark.parametrize("spread", [0.1, 10, 30_000])
@pytest.mark.parametrize("rated", [True, False])
def test_rows_labels_and_intervals(write_harmony, rated, spread):
    names = games.atari100k()[:7] if rated else ["dmc_walker_walk", "minatar_breakout"]
    found = comparison(write_harmony, names, spread)
    figure = forest.forest(found)
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert (labels[-1] == "IQM, all games") == rated
    assert axes.get_ylabel() == "Game"
    unit = "human-normalised score" if rated else "score"
    assert axes.get_xlabel() == f"Difference in {unit}"
    assert axes.get_title().startswith("second against first: ")
    low, high = axes.get_xlim()
    for row in found.rows:
        scale = games.span(row.game) if rated else 1
        assert low <= row.difference.low / scale <= row.difference.high / scale <= high
    # The legend covers nothing: it is the figure's.
    assert axes.get_legend() is None
    assert figure.legends
