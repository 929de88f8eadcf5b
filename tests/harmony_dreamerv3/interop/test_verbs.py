"""The verbs `parity`, `import` and `export`: words alone; the interop tests have more."""

from pathlib import Path

import pytest

from harmony_dreamerv3.main import main


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["parity"], "required: BUNDLE.npz"),
        (["parity", "none.npz"], "none.npz"),
        (["parity", "x.npz", "--products", "fp8"], "invalid choice: 'fp8'"),
        (["import", "x.ckpt"], "required: --logdir"),
        (["import", "x.ckpt", "--logdir", "there"], "x.ckpt"),
        (["export", "nowhere", "out.txt"], "expected OUT to end in .safetensors or .npz"),
        (["export", "nowhere", "out.npz"], "nowhere is no run folder"),
        (["export", "nowhere", "out.npz", "--seed", "3"], "export: unknown argument '--seed'"),
    ],
)
def test_mistakes(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
