"""The verb `train`: what it makes of words; test_main and the API's tests train."""

from pathlib import Path
from typing import Any

import pytest

from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.api import training
from harmony_dreamerv3.config import folder
from harmony_dreamerv3.main import main


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict[str, Any]]]:
    """What `train` was asked for; it does nothing."""
    seen: list[tuple[Any, dict[str, Any]]] = []

    def train(config: Any, **settings: Any) -> dict[str, Any]:
        seen.append((config, settings))
        return {"members": [{"frozen": None}], "signal": None}

    monkeypatch.setattr(training, "train", train)
    return seen


def test_blocks_flags_seeds_and_folder(calls: list[Any], tmp_path: Path) -> None:
    place = str(tmp_path / "new")
    assert main(["train", "--configs", "debug", "harmony", "--run.steps", "9", "--logdir", place,
                 "--seeds", "3", "4"]) == 0  # fmt: skip
    config, settings = calls[0]
    assert config == configs.make(["debug", "harmony"], {"run.steps": 9})
    assert settings == {"logdir": place, "seeds": [3, 4]}


def test_a_folder_alone_goes_on(calls: list[Any], tmp_path: Path) -> None:
    before = configs.make(["debug", "harmony"], {"seed": 5})
    (tmp_path / "config.yaml").write_text(folder.prepare(tmp_path, before))
    assert main(["train", "--logdir", str(tmp_path)]) == 0
    assert calls[0] == (before, {"logdir": str(tmp_path), "seeds": None})
    assert main(["train", "--logdir", str(tmp_path), "--run.log_every", "7"]) == 0
    assert calls[1][0] == configs.make(["debug", "harmony"], {"seed": 5, "run.log_every": 7})


@pytest.mark.parametrize(
    ("result", "status"),
    [
        ({"members": [{"frozen": None}], "signal": "SIGINT"}, 130),
        ({"members": [{"frozen": None}], "signal": "SIGTERM"}, 0),
        ({"members": [{"frozen": None}, {"frozen": "a loss"}], "signal": None}, 1),
    ],
)
def test_the_exit_status(
    result: dict[str, Any], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "train", lambda config, **settings: result)
    assert main(["train", "--configs", "debug"]) == status


def test_help_lists_the_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    shown = capsys.readouterr().out.split()
    assert {"atari100k", "harmony", "debug"} < set(shown) and "defaults" not in shown
