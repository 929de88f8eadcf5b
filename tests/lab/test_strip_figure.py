"""The strip of frames."""

from lab import figures, files


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
