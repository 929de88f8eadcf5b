import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from embodied.core.errors import UserError
from scores.balance_plot import balance, read_balance, weight_of


def write(folder, rows, tail=""):
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "metrics.jsonl").write_text(text + tail)
    return folder


def harmony_rows(count=5):
    # σ = e while σ* = 1: σ/σ* = e. The weight of cont is fixed, so it has no σ.
    for index in range(count):
        row = {"step": 10 * index, "updates": index, "train/model_loss": 3.0}
        for task, loss in (("reward", 0.5), ("observation", 200.0)):
            row[f"train/balance/loss/{task}"] = loss + index
            row[f"train/balance/weight/{task}"] = float(np.exp(-1))
            row[f"train/balance/weighted/{task}"] = (loss + index) * float(np.exp(-1))
            row[f"train/balance/log_sigma/{task}"] = 1.0
            row[f"train/balance/log_sigma_star/{task}"] = 0.0
        row |= {"train/balance/loss/cont": 0.1, "train/balance/weight/cont": 1.0}
        yield row | {"train/grad_share/reward": 0.25}


def lines(axes):
    """Returns the data of the drawn curves, without references and legend entries."""
    return [line.get_ydata() for line in axes.lines if len(line.get_xdata()) > 2]


def test_values_are_read_by_kind_and_task(tmp_path):
    rows = [*harmony_rows(), {"step": 60, "eval/return": 1.0}]
    rows.append({"step": 70, "train/balance/loss/reward": float("nan")})
    record = read_balance(write(tmp_path / "run", rows, tail='{"step": 80, "train/bal'))
    assert set(record) == {
        *("loss", "weight", "weighted", "log_sigma", "log_sigma_star", "grad_share")
    }
    steps, values = record["loss"]["reward"]
    np.testing.assert_array_equal(steps, [0, 10, 20, 30, 40])
    np.testing.assert_array_equal(values, [0.5, 1.5, 2.5, 3.5, 4.5])
    assert set(record["log_sigma"]) == {"reward", "observation"}


def test_a_long_record_is_averaged_to_what_can_be_seen(tmp_path):
    rows = (
        {"step": i, "train/balance/loss/a": float(i % 2), "train/balance/weight/a": 1.0}
        for i in range(4001)
    )
    steps, values = read_balance(write(tmp_path / "run", rows))["loss"]["a"]
    assert len(steps) <= 1000
    np.testing.assert_allclose(steps[0], 2.0)  # the mean of 0..4
    np.testing.assert_allclose(values.mean(), 0.5, atol=0.01)


def test_the_panels_show_the_record(tmp_path):
    figure = balance(write(tmp_path / "run", harmony_rows()))
    losses, weights, weighted, distance, share, curve = figure.axes
    np.testing.assert_allclose(lines(losses)[0], 200 + np.arange(5))  # observation comes first
    np.testing.assert_allclose(lines(weights), [[np.exp(-1)] * 5] * 2 + [[1.0] * 5])
    np.testing.assert_allclose(lines(weighted)[1], (0.5 + np.arange(5)) / np.e)
    np.testing.assert_allclose(lines(distance), np.e * np.ones([2, 5]))
    np.testing.assert_allclose(lines(share), [[0.25] * 5])
    assert "Reward's share" in share.get_title(loc="left")
    assert curve.get_xscale() == curve.get_yscale() == "log"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        *("observation", "reward", "cont")
    ]


@pytest.mark.parametrize(("share", "scale"), [(0.25, "linear"), (0.002, "log")])
def test_small_shares_are_on_a_logarithmic_axis(tmp_path, share, scale):
    rows = [row | {"train/grad_share/reward": share} for row in harmony_rows()]
    axes = balance(write(tmp_path / "run", rows)).axes[4]
    assert axes.get_yscale() == scale
    low, high = axes.get_ylim()
    assert low < share < high == 1


def test_the_curve_of_fig_4():
    # L = 0.5: 2 / (0.5 + sqrt(0.25 + 2)) = 1; L = 2: 2 / (2 + sqrt(12)) = 0.3660254.
    loss = np.array([0.5, 2.0])
    np.testing.assert_allclose(weight_of(loss, rectified=True), [1.0, 0.3660254], rtol=1e-6)
    np.testing.assert_allclose(weight_of(loss, rectified=False), [2.0, 0.5])


def test_a_run_without_learned_scales_says_so(tmp_path):
    keep = ("step", "train/balance/loss", "train/balance/weight")
    rows = [{k: v for k, v in row.items() if k.startswith(keep)} for row in harmony_rows()]
    figure = balance(write(tmp_path / "run", rows))
    missing = [a for a in figure.axes if any(t.get_text() == "not in this run" for t in a.texts)]
    assert missing == figure.axes[3:5]


def test_zero_losses_and_weights_do_not_break_the_axes(tmp_path):
    rows = [
        {"step": i, "train/balance/loss/a": 0.0, "train/balance/weight/a": 0.0} for i in range(3)
    ]
    figure = balance(write(tmp_path / "run", rows))
    figure.savefig(tmp_path / "zero.png")


def test_wrong_folders_are_named(tmp_path):
    with pytest.raises(UserError, match=r"expected a run folder with metrics\.jsonl$"):
        balance(tmp_path)
    write(tmp_path / "many" / "seed-0", harmony_rows())
    with pytest.raises(UserError, match="one folder for each seed: seed-0"):
        balance(tmp_path / "many")
    with pytest.raises(UserError, match="holds no train/balance"):
        balance(write(tmp_path / "other", [{"step": 1, "train/model_loss": 1.0}]))


def test_reading_needs_neither_jax_nor_matplotlib():
    program = "import sys, scores.balance_plot; print({'jax', 'matplotlib'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def test_the_verb_draws_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from scores.__main__ import main

    out = tmp_path / "balance.png"
    assert main(["plot", str(tmp_path), str(tmp_path), "--kind", "balance", "--out", str(out)]) == 2
    assert "one run folder" in capsys.readouterr().err
    lines = [
        {"step": step, "train/balance/loss/reward": 2.0, "train/balance/weight/reward": 0.5}
        for step in (1, 2, 3)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "metrics.jsonl").write_text(text)
    assert main(["plot", str(tmp_path), "--kind", "balance", "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
