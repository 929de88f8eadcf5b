"""Our scores in other projects' formats, read back."""

import gzip
import json

import pytest

from embodied.core.errors import UserError
from scores import export, load


def groups_of(*sources):
    return load.load([str(source) for source in sources])[0]


def test_upstream_round_trip(write_run, tmp_path):
    trains = [(4112, -21), (8000, -19.5)]
    groups = groups_of(
        write_run("a", "atari_james_bond", 3, trains=trains, evals={8000: [1]}),
        write_run("b", "dmc_walker_walk", 0, evals={8000: [1]}),
    )
    data, problems = export.upstream(groups)
    assert json.loads(gzip.decompress(data)) == [
        {
            "task": "atari_jamesbond",
            "method": "ours",
            "seed": 3,
            "xs": [4112, 8000],
            "ys": [-21, -19.5],
        }
    ]
    assert [problem.reason for problem in problems] == [
        "dmc_walker_walk: no training episodes to export"
    ]
    assert data[4:8] == bytes(4)  # no time in gzip's header: the same scores, the same bytes
    (tmp_path / "scores.json.gz").write_bytes(data)
    ((group,), _) = load.load([str(tmp_path / "scores.json.gz")])
    assert group.runs[0].trains.scores.tolist() == [-21, -19.5]


def test_harmonydream_round_trip(write_run, tmp_path):
    folders = [
        write_run("a", "atari_jamesbond", 0, evals={4: [1, 2], 8: [3]}),
        write_run("b", "atari_jamesbond", 1, evals={4: [5], 8: [7.5]}),
        write_run("c", "atari_pong", 0, evals={4: [5]}),
    ]
    data, problems = export.harmonydream(groups_of(*folders))
    assert json.loads(data) == {"steps": [4, 8], "score": {"james_bond": [[1.5, 3], [5, 7.5]]}}
    assert "evaluated at other frames" in problems[0].reason
    (tmp_path / "mine.json").write_bytes(data)
    ((group,), _) = load.load([str(tmp_path / "mine.json")])
    assert [run.evals.scores[-1] for run in group.runs] == [3, 7.5]


def test_harmonydream_holds_one_method(write_run):
    groups = groups_of(
        write_run("a", method="a", evals={4: [1]}), write_run("b", method="b", evals={4: [1]})
    )
    with pytest.raises(UserError, match="one method, but the sources hold: a, b"):
        export.harmonydream(groups)
