"""The verb `config`."""

from pathlib import Path

import pytest

from harmony_dreamerv3.config import describe
from harmony_dreamerv3.main import main


def test_it_prints_keys_with_their_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "atari100k", "harmony", "--run.steps", "7"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "balance.method: harmony" in shown and "run.steps: 7" in shown
    assert shown[shown.index("run.steps: 7") + 1].startswith("    length of the run")
    assert main(["config", "--paper"]) == 0
    assert "return_lambda: 0.95\n" in capsys.readouterr().out


def test_it_compares(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["config", "debug", "--diff", "dreamerv3", "harmony"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "label: dreamerv3 in dreamerv3, harmony in harmony",
        "balance.method: fixed in dreamerv3, harmony in harmony",
    ]
    (tmp_path / "mine.yaml").write_text("actent: 0.5")
    assert main(["config", "--diff", "defaults", str(tmp_path / "mine.yaml")]) == 0
    assert capsys.readouterr().out.startswith("actent: 0.0003 in defaults, 0.5 in ")


def test_it_prints_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--markdown"]) == 0
    assert capsys.readouterr().out == describe.page()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["smal"], "unknown config block 'smal'; did you mean 'small'"),
        (["--lr", "1"], "did you mean balance.lr, model_opt.lr, actor_opt.lr, critic_opt.lr?"),
        (["small", "--markdown"], "--markdown takes nothing else"),
        (["--diff", "small"], "expected 2 arguments"),
    ],
)
def test_mistakes(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", *argv]) == 2
    assert message in capsys.readouterr().err
