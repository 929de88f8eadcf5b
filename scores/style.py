"""How figures look and how they are written: print and the colour-blind in mind."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from embodied.core.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
# Okabe and Ito's palette, safe for the colour-blind, but for its yellow, too pale on paper.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
MARKERS = "osD^vPX"
GREY = "#666666"
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.hashsalt": "scores",
}


@contextmanager
def styled() -> Iterator[None]:
    """Draws with `STYLE` inside of the block."""
    import matplotlib  # Lazy: half a second that tables need not pay.

    with matplotlib.rc_context(STYLE):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Returns an empty figure of that size in inches; needs no display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def panels(figure: Figure, down: int, across: int, count: int) -> list[Axes]:
    """Returns the axes of the first `count` panels of a grid; the others are hidden."""
    axes = list(figure.subplots(down, across, squeeze=False).ravel())
    for unused in axes[count:]:
        unused.set_visible(False)
    return axes[:count]


def thousands(value: float, digits: str = "g") -> str:
    """Prints a tick: 1500 as 1.5K, two millions as 2M."""
    for unit, letter in ((1e6, "M"), (1e3, "K")):
        if abs(value) >= unit:
            return f"{value / unit:{digits}}{letter}"
    return f"{value:g}"


def fold(title: str, width: int = 22) -> str:
    """Breaks a long title at an underscore or a space near its middle."""
    breaks = [i for i, letter in enumerate(title) if letter in "_ "]
    if len(title) <= width or not breaks:
        return title
    middle = min(breaks, key=lambda i: abs(i - len(title) // 2))
    return f"{title[: middle + 1].rstrip()}\n{title[middle + 1 :]}"


def frames_axis(axes: Axes) -> None:
    """Labels the ticks of x in thousands or millions of frames."""
    axes.xaxis.set_major_formatter(lambda value, _: thousands(value))


def look(index: int) -> dict[str, Any]:
    """Returns colour, line and marker of the column of that number."""
    turn = index % len(COLORS)
    return {"color": COLORS[turn], "linestyle": LINES[turn], "marker": MARKERS[turn]}


def log_axis(axes: Axes) -> None:
    """Makes y logarithmic over at least one decade, so that noise does not look like news."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high < 10 * low:
        middle = math.sqrt(low * high)
        low, high = middle / math.sqrt(10), middle * math.sqrt(10)
        axes.set_ylim(low, high)
    if high < 300 * low:  # powers of ten alone would label one or two ticks
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())


def save(figure: Figure, path: Path) -> None:
    """Writes a figure in the format of the path's ending.

    Raises:
      UserError: the ending is not of `FORMATS`, or the file cannot be written.
    """
    check(path)
    try:
        write(figure, path, path.suffix)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def write(figure: Figure, out: Path | IO[bytes], suffix: str) -> None:
    """Writes a figure to a file or a stream in the format of `suffix`, one of `FORMATS`."""
    # Without a date the same scores give the same bytes.
    blank = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[suffix]
    with styled():
        figure.savefig(out, format=suffix[1:], dpi=200, metadata=blank)


def check(path: Path) -> None:
    """Refuses a path that `save` could not write, before the work is done."""
    if path.suffix not in FORMATS:
        raise UserError(f"{path}: a figure's name ends in {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}")
