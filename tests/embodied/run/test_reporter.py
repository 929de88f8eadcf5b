"""Lines of records, by hand."""

from __future__ import annotations

from embodied.run.config import RunConfig
from embodied.run.reporter import episode_line, evaluation_lines, limit_note
from embodied.stepping.driver import Episode

COUNTS = {"step": 5, "frame": 20, "updates": 2}


def test_an_episode_by_hand() -> None:
    episode = Episode(0, 1, 2.5, 7, True, None)
    assert episode_line("train", COUNTS, episode, 3, 9) == {
        "mode": "train", **COUNTS, "episode": 3, "return": 2.5, "length": 7, "seed": 9,
        "terminated": True,
    }  # fmt: skip
    line = episode_line("eval", COUNTS, Episode(0, 0, 0.0, 1, False, True, {"wood": 2.0}), 0, 9)
    assert line["success"] is True and line["wood"] == 2.0


def test_an_evaluation_by_hand() -> None:
    episodes = [Episode(0, 0, 1.0, 4, False, True), Episode(0, 1, 4.0, 6, False, False)]
    lines, means = evaluation_lines(episodes, COUNTS, 9)
    wanted = {"eval/return": 2.5, "eval/length": 5.0, "eval/episodes": 2, "eval/success": 0.5}
    assert means == wanted
    assert [name for name, _ in lines] == ["episodes.jsonl", "episodes.jsonl", "metrics.jsonl"]
    assert lines[-1][1] == {**COUNTS, **wanted}
    assert [line["episode"] for _, line in lines[:2]] == [0, 1]
    assert evaluation_lines([], COUNTS, 9) == ([], {})


def test_the_note_names_the_key() -> None:
    assert "run.episode_limit = 27,000 agent steps" in limit_note(RunConfig())
