"""Figures come from the records alone, without a model and without JAX."""

import json
import subprocess
import sys

import matplotlib.image
import pytest

from embodied.core.errors import UserError
from lab import figures, files, text

NAMES = ["reward_error.png", "training.png", "state.png", "strip.png"]


@pytest.mark.parametrize(("image", "sparse"), [(True, True), (False, False)])
def test_all_figures_are_drawn(make_records, image, sparse):
    folder = make_records(image, sparse)
    assert [path.name for path in figures.draw(folder)] == NAMES
    for name in NAMES:
        pixels = matplotlib.image.imread(folder / name)
        assert pixels.std() > 0.01  # Something is on the paper.


def test_labels_say_which_rewards_are_right(make_records):
    folder = make_records()
    result, _, frames = files.read(folder)
    result["strip"]["reward"] = [0.0] * 50
    result["strip"]["predicted"] = {"dreamerv3": [0.0] * 49 + [0.9], "harmony": [0.9] + [0.0] * 49}
    figure = figures.strip_figure.strip(result, frames)
    top, below = figure.subfigs
    labels = [axes.get_xlabel() for axes in top.axes]
    # Rows of ten frames: true, dreamerv3 and its error, harmony and its error.
    assert all("✓" in label for label in labels[10:20])  # Step 49 is not among those shown.
    assert labels[30] == "0.90 ✗"
    assert labels[31] == "0.00 ✓"
    wrong = [axes.lines[-1].get_xdata().tolist() for axes in below.axes]
    assert wrong == [[49], [0]]


def test_training_shows_raw_losses_and_the_distance_of_sigma(make_records):
    result, updates, _ = files.read(make_records())
    drawn = {axes.get_title(): axes for axes in figures.training(result, updates).axes}
    assert drawn["reward: log σ − log σ*"].get_visible()
    # Image and position together, 300 / (1 + update + seed), and the mean of two seeds.
    seed, other, mean = (line.get_ydata() for line in drawn["Observation loss"].lines[:3])
    assert (seed[0], other[0], mean[0]) == (300, 150, 225)
    plain = [line for line in updates if line["method"] == "dreamerv3"]
    titles = [axes.get_title() for axes in figures.training(result, plain).axes]
    assert titles == list(figures.LOSSES)


def test_text_has_a_row_for_each_method(make_records):
    result, _, _ = files.read(make_records())
    lines = text.describe(result).splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["dreamerv3", "harmony", "(mean"]
    assert "recall" in lines[0] and "R² of state, predicted" in lines[0]
    assert "reward -1.50" in lines[-1]


def test_what_is_no_analysis_is_refused(tmp_path, make_records):
    with pytest.raises(UserError, match="no finished analysis"):
        figures.draw(tmp_path)
    folder = make_records()
    (folder / files.RESULT).write_text(json.dumps({"format": 99}))
    with pytest.raises(UserError, match="expected format"):
        figures.draw(folder)
    (folder / files.RESULT).write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        figures.draw(folder)


def test_figures_need_no_jax(make_records):
    folder = make_records()
    code = (
        "import sys\n"
        "for name in ('jax', 'jaxlib', 'flax', 'optax'):\n"
        "    sys.modules[name] = None\n"
        "from harmony_dreamerv3.main import main\n"
        f"sys.exit(main(['analyze', '--figures-from', {str(folder)!r}]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("wrote") == len(NAMES)
