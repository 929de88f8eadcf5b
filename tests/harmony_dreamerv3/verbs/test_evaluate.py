"""The verb `eval`, as far as it needs no checkpoint; test_population_end_to_end has the rest."""

from pathlib import Path

import pytest

from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.main import main


def test_mistakes_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(tmp_path), "--episodes", "0"]) == 2
    assert "--episodes must be at least 1, got 0" in capsys.readouterr().err
    assert main(["eval", str(tmp_path)]) == 2
    assert f"{tmp_path} is no run folder: it has no config.yaml" in capsys.readouterr().err
    text = f"format: 1\n{configs.dump(configs.make(['debug'], {'jax.cache': False}))}"
    (tmp_path / "config.yaml").write_text(text)
    assert main(["eval", str(tmp_path), "--platform", "gpus"]) == 2
    assert "jax.platform: expected one of auto, cpu, gpu, tpu, got 'gpus'" in (
        capsys.readouterr().err
    )
