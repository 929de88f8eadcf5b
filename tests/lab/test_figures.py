"""Figures come from the records alone, without a model and without JAX."""

import subprocess
import sys

import matplotlib.image
import pytest

from lab import figures, files

NAMES = ["reward_error.png", "training.png", "state.png", "strip.png"]


@pytest.mark.parametrize(("image", "sparse"), [(True, True), (False, False)])
def test_all_figures_are_drawn(make_records, image, sparse):
    folder = make_records(image, sparse)
    assert [path.name for path in figures.draw(folder)] == NAMES
    for name in NAMES:
        pixels = matplotlib.image.imread(folder / name)
        assert pixels.std() > 0.01  # Something is on the paper.


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


@pytest.mark.parametrize("name", ["loss/discount", None])
def test_training_of_models_without_a_continue_loss(make_records, name):
    """DreamerV2 predicts a discount, or nothing of the kind."""
    result, updates, _ = files.read(make_records())
    values = [line.pop("loss/cont") for line in updates]
    for line, value in zip(updates, values):
        line.update({name: value} if name else {})
    drawn = {axes.get_title(): axes for axes in figures.training(result, updates).axes}
    assert bool(drawn["Continue loss"].lines) == bool(name)
    assert drawn["Observation loss"].lines[0].get_ydata()[0] == 300


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
