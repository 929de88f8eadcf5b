"""The verb `analyze`: words alone; tests/lab has the rest."""

from pathlib import Path

import pytest

from harmony_dreamerv3.main import main


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "expected SOURCE, a run folder or a buffer folder"),
        (["somewhere"], "expected --out D, a folder for the results"),
        (["x", "--figures-from", "y"], "--figures-from D takes nothing else"),
        (["somewhere", "--export-buffer", "y"], "somewhere"),
        (["x", "--out", "y", "--seeds", "1", "1"], "different"),
        (["x", "--out", "y", "--updates", "0"], "--updates must be at least 1, got 0"),
        (["x", "--out", "y", "--updates", "some"], "invalid int value"),
    ],
)
def test_mistakes(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["analyze", *argv]) == 2
    assert message in capsys.readouterr().err
