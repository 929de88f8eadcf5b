"""The verb from end to end, and what wrong input gets."""

import numpy as np
import pytest

from embodied.checkpoint.files import decode
from harmony_dreamerv3.main import main
from lab import buffer as buffers
from lab import files

SMALL = ["--updates", "4", "--log-every", "2", "--observed", "4", "--predicted", "3",
         "--windows", "6", "--regression-updates", "2", "--strip", "3", "4", "2",
         "--jax.platform", "cpu", "--jax.cache", "False"]  # fmt: skip


@pytest.fixture
def source(make_buffer, tmp_path):
    """A buffer with images, whose models see them alone."""
    keys = {"encoder__mlp_keys": "$^", "decoder__mlp_keys": "$^"}
    buffers.write(make_buffer([12] * 6, image=8, **keys), tmp_path / "buffer")
    return tmp_path / "buffer"


def test_analysis_from_end_to_end(source, tmp_path, capsys):
    out = tmp_path / "out"
    argv = ["analyze", str(source), "--out", str(out), "--methods", "harmony", *SMALL]
    assert main([*argv, "--batch_size", "3"]) == 0
    said = capsys.readouterr().out
    assert "60 steps (5 episodes) for training" in said and "1 episodes, 6 windows" in said
    result, updates, frames = files.read(out)
    assert [line["update"] for line in updates] == [2, 4]
    assert result["sigma"]["harmony"]["reward"]["distance"] < 0
    assert len(result["reward"]["methods"]["harmony"]["mse_by_step"]) == 3
    assert set(result["state"]) == {"state", "position"}
    assert result["state"]["state"]["harmony"]["predicted"]["mse"] > 0
    assert result["strip"]["shown"] == [0, 2, 4, 6]
    assert {k: v.shape for k, v in frames.items()} == {
        "true": (4, 8, 8, 3), "model/harmony": (4, 8, 8, 3),
    }  # fmt: skip
    stored = decode((source / buffers.FILE).read_bytes(), source)
    rewards = stored["reward"][60:]
    assert result["strip"]["reward"] in [rewards[i : i + 7].tolist() for i in range(6)]
    names = {path.name for path in out.glob("*.png")}
    assert names == {"reward_error.png", "training.png", "state.png", "strip.png"}
    for path in out.glob("*.png"):
        path.unlink()
    assert main(["analyze", "--figures-from", str(out)]) == 0
    assert {path.name for path in out.glob("*.png")} == names
    assert main([*argv]) == 2  # The folder is in use now.


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["--methods", "harmny"], "did you mean 'harmony'"),
        (["--methods", "harmony", "harmony"], "comes twice"),
        (["--observed", "35", "--predicted", "15"], "the longest has 12"),
        (["--strip", "10", "30", "5"], "--strip 10 30"),
        (["--strip", "3", "4", "0"], "--strip must be at least 1"),
        (["--batch_length", "64"], "batch_length 64"),
        (["--state", "pose"], "no vector 'pose'"),
        (["--updates", "0"], "--updates must be at least 1"),
        (["--seeds", "0", "0"], "--seeds"),
        (["--holdout", "2"], "--holdout"),
        (["--seed", "1"], "use --seeds"),
        (["--batch_sise", "1"], "'batch_size'"),
    ],
)
def test_wrong_values_are_refused(source, tmp_path, capsys, argv, part):
    out = tmp_path / "out"
    assert main(["analyze", str(source), "--out", str(out), *SMALL, *argv]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and part in error and "Traceback" not in error
    assert not out.exists()


def test_missing_source_and_folders_are_refused(source, tmp_path, capsys):
    for argv, part in [
        ([], "expected SOURCE"),
        ([str(source)], "expected --out"),
        ([str(tmp_path), "--out", str(tmp_path / "o")], "config.yaml"),
        (["--figures-from", str(tmp_path)], "no finished analysis"),
        (["--figures-from", str(tmp_path), "--updates2", "3"], "takes nothing else"),
    ]:
        assert main(["analyze", *argv]) == 2
        assert part in capsys.readouterr().err


def test_export_of_a_buffer(source, tmp_path):
    copy = tmp_path / "copy"
    assert main(["analyze", str(source), "--export-buffer", str(copy)]) == 0
    before, after = buffers.read(source), buffers.read(copy)
    assert before.ends == after.ends
    np.testing.assert_array_equal(before.arrays["image"], after.arrays["image"])
