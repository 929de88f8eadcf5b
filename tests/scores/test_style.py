"""How figures are written, and their axes."""

import numpy as np
import pytest

from embodied.core.errors import UserError
from scores import style


def figure(values):
    with style.styled():
        drawing = style.new_figure(2, 2)
        axes = drawing.subplots()
        axes.plot(range(len(values)), values)
        style.log_axis(axes)
    return drawing


@pytest.mark.parametrize("suffix", style.FORMATS)
def test_files_are_of_their_format_and_repeat(tmp_path, suffix):
    path = tmp_path / f"figure{suffix}"
    data = []
    for _ in range(2):
        style.save(figure([1.0, 100.0]), path)
        data.append(path.read_bytes())
    start = {".png": b"\x89PNG", ".pdf": b"%PDF"}.get(suffix, b"<?xml")
    assert data[0].startswith(start)
    assert data[0] == data[1]


def test_paths_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"ends in \.png, \.svg, \.pdf"):
        style.check(tmp_path / "a.jpg")
    with pytest.raises(UserError, match="there is no folder"):
        style.check(tmp_path / "no" / "a.png")


def test_a_logarithmic_axis_spans_a_decade_at_least():
    low, high = figure([1.0, 1.1]).axes[0].get_ylim()
    assert high / low == pytest.approx(10)
    low, high = figure([1.0, 1e6]).axes[0].get_ylim()
    assert low < 1
    assert high > 1e6


def test_looks_repeat_only_after_all_colours():
    looks = [tuple(map(str, style.look(index).values())) for index in range(8)]
    assert len(set(looks[:7])) == 7
    assert looks[7] == looks[0]


def test_panels_beyond_the_count_are_hidden():
    drawing = style.new_figure(2, 2)
    assert len(style.panels(drawing, 2, 2, 3)) == 3
    assert np.sum([axes.get_visible() for axes in drawing.axes]) == 3


def test_thousands():
    assert [style.thousands(v) for v in (0.25, 999, 1500, -2000)] == ["0.25", "999", "1.5K", "-2K"]


def test_thousands_and_millions():
    ticks = [style.thousands(value) for value in (0, 999, 1500, 2e6, -3000)]
    assert ticks == ["0", "999", "1.5K", "2M", "-3K"]


def test_long_titles_break_near_their_middle():
    assert style.fold("dmc_cartpole_swingup_sparse") == "dmc_cartpole_\nswingup_sparse"
    assert style.fold("Chopper Command") == "Chopper Command"
    assert style.fold("x" * 40) == "x" * 40
