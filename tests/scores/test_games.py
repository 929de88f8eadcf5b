"""The published columns and the human scale."""

import numpy as np
import pytest

from embodied.core.errors import UserError
from scores import games


def test_table_2_as_printed():
    columns = games.published()
    assert all(set(column.scores) == set(games.atari100k()) for column in columns.values())
    assert columns["harmony"].scores["gopher"] == 13043
    assert columns["simple"].scores["pong"] == 13
    assert columns["harmony"].printed == {"mean": 1.365, "median": 0.671}


def test_normalised_is_0_for_random_1_for_human_nan_elsewhere():
    # Pong: random -21, human 15, so -3 is halfway.
    scores = np.array([[-21.0, 7.0], [15.0, 7.0], [-3.0, 7.0]])
    found = games.normalised(["pong", "catch"], scores)
    np.testing.assert_allclose(found[:, 0], [0, 1, 0.5])
    assert np.isnan(found[:, 1]).all()


def test_references_are_read_from_a_file(tmp_path):
    path = tmp_path / "references.json"
    path.write_text('{"minatar_breakout": [0.5, 3]}')
    known = games.read_references(path)
    assert games.normalised(list(known), np.array([1.75]), known) == [0.5]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"a": [1]}', '{"a": [1, 1]}', '{"a": [0, NaN]}', '{"a": ["0", 1]}']
)
def test_references_that_say_nothing_are_refused(tmp_path, text):
    path = tmp_path / "references.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"references\.json: "):
        games.read_references(path)
