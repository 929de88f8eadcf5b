"""What a run folder from elsewhere may not do: lead the program to write or delete outside it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from embodied.checkpoint.manifest import CHUNK, STEP
from embodied.core.errors import UserError

_OWN = ("checkpoints", "replay", "videos", "eval", "eval/videos")
# Of the program's own writing, with what a killed write leaves.
_CHUNK = re.compile(rf"{CHUNK}|\.{CHUNK}\.tmp")


def check_run(folder: Path) -> None:
    """Refuses a run folder in which a run would write or delete elsewhere; see `check_inside`."""
    check_inside(folder, _OWN)
    found = sorted(path.name for path in (folder / "checkpoints").glob("*"))
    check_inside(folder / "checkpoints", [name for name in found if re.fullmatch(STEP, name)])


def check_inside(folder: Path, names: Iterable[str]) -> None:
    """Refuses folders inside another that are links, or no folders at all.

    The outer folder itself may be a link: whoever gave its name wants what it leads to. Names are
    relative to it, each after those above it; those that do not exist are fine.

    Raises:
      UserError: naming the first that is refused.
    """
    for name in names:
        path = folder / name
        if path.is_symlink():
            raise UserError(
                f"{path} is a link: a run would write and delete where it leads to; put the folder "
                "itself there, or make the whole --logdir the link"
            )
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is not a folder; move it away, or choose another --logdir")


def forget(folder: Path, steps: Collection[str], chunks: Collection[str]) -> None:
    """Deletes all but those `steps` and `chunks` of a run folder whose names the program gives."""
    for path in (folder / "checkpoints").iterdir():
        ours = re.fullmatch(STEP, path.name) and path.is_dir() and not path.is_symlink()
        if ours and path.name not in steps:
            (path / "manifest.json").unlink(missing_ok=True)  # First: without it, it is none.
            shutil.rmtree(path, ignore_errors=True)
    for path in (folder / "replay").iterdir():
        if _CHUNK.fullmatch(path.name) and path.name not in chunks and path.is_file():
            path.unlink(missing_ok=True)
