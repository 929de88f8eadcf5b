"""Checkpoints of one run folder, or of several that are committed together.

    <folder>/checkpoints/<step>/manifest.json     names, sizes, SHA-256 of all files; the state
    <folder>/checkpoints/<step>/*                 arrays and records
    <folder>/replay/*                             written once, shared by later checkpoints
    <root>/checkpoints/<step>.json                of several folders: names all their manifests

Files are written first and the manifest last, by a rename: until then the checkpoint before is the
newest one. Nothing in them is ever executed, and only plain names inside the folder are read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from embodied.checkpoint.files import CorruptFile, digest, encode, sync_folder, write_atomic
from embodied.checkpoint.folders import check_inside, check_run, forget
from embodied.checkpoint.manifest import NAME, STEP, Part, Saved, damaged_files, seal, unseal
from embodied.core.errors import UserError

T = TypeVar("T")
_TRIES = 10  # Of reading what another process may forget.


class Checkpoints:
    """Saves, loads and forgets checkpoints.

    Args:
      root: the folder whose `checkpoints/` commits; the run folder itself when there is one.
      folders: the run folders.
      keep: number of committed checkpoints to keep.
      only: pattern of the names of those that are looked at, for reading.
    """

    def __init__(
        self, root: Path, folders: Sequence[Path], keep: int = 2, only: str = STEP
    ) -> None:
        self._root = root
        self._folders = list(folders)
        self._keep, self._only = keep, only
        self._together = len(folders) > 1 or folders[0] != root
        # For each good checkpoint, oldest first: the files it needs, by folder.
        self._good: dict[str, list[dict[str, dict[str, Any]]]] = {}

    def save(self, step: int, parts: Sequence[Part]) -> None:
        """Writes and commits a checkpoint, a part for each folder; forgets those beyond `keep`.

        Raises:
          UserError: when the disk refuses; the checkpoints before stay as they are.
        """
        self._check_inside()
        name, number = f"{step:012d}", 0
        while name in self._good:  # Never touch a good one.
            number += 1
            name = f"{step:012d}-{number:02d}"
        try:
            texts, files = zip(*[self._write(f, name, p) for f, p in zip(self._folders, parts)])
            if self._together:
                self._commit(name, texts)
        except OSError as error:
            for folder, part in zip(self._folders, parts):  # Room for others.
                shutil.rmtree(folder / "checkpoints" / name, ignore_errors=True)
                for file in part.replay:
                    with contextlib.suppress(OSError):
                        (folder / "replay" / file).unlink(missing_ok=True)
            newest = max(self._good, default=None)
            stays = f"the checkpoint of step {int(newest[:12])} stays" if newest else "none is left"
            raise UserError(
                f"cannot save the checkpoint of step {step} to {self._root}: {error}; {stays}. "
                "Free some space and run the same command again"
            ) from error
        self._good[name] = list(files)
        while len(self._good) > self._keep:
            self._good.pop(next(iter(self._good)))
        self._forget()

    def load(self, say: Any = print) -> list[Saved] | None:
        """Returns the newest checkpoint that is whole, or None when there is none at all.

        When none is whole, older files of the replay, which they share, may be the reason: then it
        is the newest one that lacks nothing else. `say` is told of each that was passed over.

        Raises:
          UserError: when all are damaged, one has an unknown version, they are of other folders,
            or the folder has links where it is written to.
        """
        self.check_members()
        self._good.clear()
        names = self.names()
        for name, lenient in [(n, False) for n in names] + [(n, True) for n in names]:
            try:
                manifests, saved = self._read(name, lenient)
            except (CorruptFile, OSError) as error:
                if not lenient and name in self.names():  # Else a running training forgot it.
                    say(f"warning: the checkpoint of step {int(name[:12])} is not whole: {error}")
                continue
            for older in reversed(names[names.index(name) + 1 :]):
                self._remember(older)
            self._good[name] = [manifest["files"] for manifest in manifests]
            return saved
        if names:
            if self.names() != names:
                return self.load(say)
            raise UserError(
                f"none of the {len(names)} checkpoints in {self._root} can be used (see above); "
                "restore one from a copy, or choose another --logdir"
            )
        return None

    def take(self, read: Callable[[list[Saved]], T], say: Any = print) -> T | None:
        """Reads files of the newest checkpoint while another process may be training.

        Args:
          read: given what `load` returned; called again with the newest checkpoint when a file
            that it opens has been forgotten meanwhile.
          say: see `load`.

        Returns:
          What `read` returned; None when there is no checkpoint.

        Raises:
          UserError: see `load`.
        """
        for _ in range(_TRIES):
            saved = self.load(say)
            if saved is None:
                return None
            try:
                return read(saved)
            except (FileNotFoundError, CorruptFile) as error:
                if next(reversed(self._good)) in self.names():  # It is still there.
                    text = f"cannot read the checkpoint in {self._root}: {error}"
                    raise UserError(text) from error
        raise UserError(f"the checkpoints in {self._root} are forgotten faster than read")

    def check_members(self) -> None:
        """Compares the folders with those of the newest commit that can be read.

        Raises:
          UserError: when they are others, one run lies where those of a population are wanted, or
            there are links where a run is written to.
        """
        self._check_inside()
        if not self._together:
            return
        if any((self._root / "checkpoints").glob("*/manifest.json")):
            raise UserError(
                f"{self._root} is the folder of a single run, not of a population; choose another "
                "--logdir, or train without --seeds"
            )
        mine = set(map(self._member, self._folders))
        for name in self.names():
            try:
                found = unseal(self._root / "checkpoints" / f"{name}.json", {"members": dict})
            except (CorruptFile, OSError):
                continue
            if set(found["members"]) != mine:
                raise UserError(
                    f"{self._root} holds a population of {sorted(found['members'])}, not of "
                    f"{sorted(mine)}; give the same seeds, or choose another --logdir"
                )
            return

    def _check_inside(self) -> None:
        if self._together:
            check_inside(self._root, ["checkpoints", *map(self._member, self._folders)])
        for folder in self._folders:
            check_run(folder)

    def _member(self, folder: Path) -> str:
        return os.path.relpath(folder, self._root)

    def names(self) -> list[str]:
        """Returns the committed checkpoints, newest first."""
        pattern = "*.json" if self._together else "*/manifest.json"
        found = (self._root / "checkpoints").glob(pattern)
        names = [path.stem if self._together else path.parent.name for path in found]
        return sorted((name for name in names if re.fullmatch(self._only, name)), reverse=True)

    def _write(
        self, folder: Path, name: str, part: Part
    ) -> tuple[bytes, dict[str, dict[str, Any]]]:
        """Writes one folder's files and its manifest; returns the manifest's bytes and files."""
        target = folder / "checkpoints" / name
        if target.exists():  # A damaged one, or one whose commit never came.
            (target / "manifest.json").unlink(missing_ok=True)
            shutil.rmtree(target)
        target.mkdir(parents=True)
        (folder / "replay").mkdir(exist_ok=True)
        files = {f"replay/{kept}": self._known(folder, f"replay/{kept}") for kept in part.kept}
        contents = {f"checkpoints/{name}/{key}": value for key, value in part.files.items()}
        contents |= {f"replay/{key}": value for key, value in part.replay.items()}
        for path, content in contents.items():
            if not NAME.fullmatch(path):
                raise ValueError(f"not a plain file name: {path}")
            data = content if isinstance(content, bytes) else encode(content)
            write_atomic(folder / path, data)
            files[path] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        text = seal({"files": files, "state": part.state})
        write_atomic(target / "manifest.json", text)
        sync_folder(target.parent)
        return text, files

    def _commit(self, name: str, texts: Sequence[bytes]) -> None:
        members = {
            self._member(folder): hashlib.sha256(text).hexdigest()
            for folder, text in zip(self._folders, texts)
        }
        (self._root / "checkpoints").mkdir(exist_ok=True)
        write_atomic(self._root / "checkpoints" / f"{name}.json", seal({"members": members}))

    def _read(self, name: str, lenient: bool) -> tuple[list[dict[str, Any]], list[Saved]]:
        """Reads and verifies a checkpoint in all folders; `lenient` lets replay files be bad."""
        hashes: dict[str, str] | None = None
        if self._together:
            hashes = unseal(self._root / "checkpoints" / f"{name}.json", {"members": dict})[
                "members"
            ]
        manifests, saved = [], []
        for folder in self._folders:
            path = folder / "checkpoints" / name / "manifest.json"
            if hashes is not None and hashes.get(self._member(folder)) != digest(path):
                raise CorruptFile(f"{path} is not the one that was committed")
            manifest = unseal(path, {"files": dict, "state": dict})
            damaged = damaged_files(folder, manifest["files"], lenient)
            prefix = f"checkpoints/{name}/"
            files = {
                file.removeprefix(prefix): folder / file
                for file in manifest["files"]
                if file.startswith(prefix)
            }
            manifests.append(manifest)
            saved.append(Saved(folder, manifest["state"], files, damaged))
        return manifests, saved

    def _remember(self, name: str) -> None:
        """Keeps an older checkpoint's files until it is forgotten, if its manifests are whole."""
        try:
            paths = [folder / "checkpoints" / name / "manifest.json" for folder in self._folders]
            opened = [unseal(path, {"files": dict, "state": dict}) for path in paths]
            self._good[name] = [manifest["files"] for manifest in opened]
        except (UserError, OSError):  # UserError: of another version, too.
            return

    def _known(self, folder: Path, file: str) -> dict[str, Any]:
        place = self._folders.index(folder)
        for files in reversed(self._good.values()):
            if file in files[place]:
                return files[place][file]
        raise ValueError(f"{file} belongs to no checkpoint")

    def _forget(self) -> None:
        """Deletes what no kept checkpoint needs; the commit goes first."""
        if self._together:
            for path in (self._root / "checkpoints").glob("*.json"):
                if path.stem not in self._good and re.fullmatch(STEP, path.stem):
                    path.unlink(missing_ok=True)
        for place, folder in enumerate(self._folders):
            needed = {file for files in self._good.values() for file in files[place]}
            chunks = {file.removeprefix("replay/") for file in needed}
            forget(folder, self._good, chunks)
