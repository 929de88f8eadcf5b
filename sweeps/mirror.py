"""A job's run folders in object storage: pulled before an attempt, pushed after each checkpoint.

The storage holds the same files as the folders. Whatever moment an upload ends at, the newest
checkpoint whose manifest is there is whole: what belongs to it goes first, its manifest last, and
only then older checkpoints are forgotten, their manifests first.
"""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from embodied.checkpoint.files import CorruptFile, digest
from embodied.checkpoint.manifest import NAME, STEP, unseal, verify
from embodied.checkpoint.storage import Missing, Storage
from embodied.core.errors import UserError
from embodied.records.progress import say
from embodied.records.run_records import FILES

OWNER = "owner"  # Holds the name of the attempt that may write.
_OURS = re.compile(r"(.*/)?(checkpoints|replay)/")

Files = dict[str, str]  # SHA-256 by path, of all that a checkpoint needs.


class Superseded(UserError):
    """Another attempt has taken over the job."""


class Mirror:
    """Keeps a job's folder and its copy in storage alike.

    Args:
      storage: the job's folder in storage.
      local: the job's folder on this machine, and nobody else's.
      members: the run folders in it: of each seed of a population, or only `""`.
      keep: checkpoints kept in storage.
    """

    def __init__(
        self, storage: Storage, local: Path, members: Sequence[str] = ("",), keep: int = 2
    ) -> None:
        self._storage, self._local, self._keep = storage, local, keep
        self._members = list(members)
        self._token = uuid.uuid4().hex
        self._there: dict[str, Files] = {}  # Checkpoints in storage.
        self._sent: dict[str, tuple[int, int]] = {}  # Size and time of other files.

    def pull(self) -> None:
        """Takes the job over, and copies the newest whole checkpoint and the other files.

        Raises:
          UserError: when there are checkpoints and none of them is whole.
        """
        self._storage.write(OWNER, self._token.encode())
        paths = self._storage.paths()
        for path in paths:
            # Records are in the checkpoint, as they were then.
            if not _OURS.match(path) and path != OWNER and PurePosixPath(path).name not in FILES:
                self._storage.get(path, self._local / path)
        damaged: list[str] = []
        for name in self._committed(paths):
            try:
                self._there[name] = self._read(name, whole=not self._there)
            except (CorruptFile, Missing) as error:
                say(f"warning: {self._storage.url}: checkpoint {name} is not whole: {error}")
                damaged.append(name)
        if damaged and not self._there:
            raise UserError(
                f"none of the {len(damaged)} checkpoints in {self._storage.url} can be used; "
                "delete that folder to begin the job anew"
            )
        for name in damaged:  # The same names will come again.
            there = [path for path in reversed(self._manifests(name)) if path in paths]
            self._storage.remove(there)

    def push(self) -> str | None:
        """Copies the newest checkpoint, if storage lacks it, and other files that have changed.

        Returns:
          The newest checkpoint, now in storage; None before the first.

        Raises:
          Superseded: when another attempt has pulled since.
          UserError: when the storage refuses; another push may go on from there.
        """
        self._check_owner()
        self._push_others()
        with tempfile.TemporaryDirectory(dir=self._local.parent, prefix=".push-") as folder:
            stage = Path(folder)
            name, files = self._link(stage)
            if name is None or name in self._there:
                return name
            there = {path: sha for known in self._there.values() for path, sha in known.items()}
            manifests = self._manifests(name)
            for path, sha in files.items():
                if there.get(path) != sha and path not in manifests:
                    self._storage.put(stage / path, path)
            for member in self._members:
                for record in FILES:
                    saved = stage / member / "checkpoints" / name / record
                    if saved.exists():
                        self._storage.put(saved, _join(member, record))
            for path in manifests[:-1]:
                self._storage.put(stage / path, path)
            self._check_owner()
            self._storage.put(stage / manifests[-1], manifests[-1])
        self._there[name] = files
        self._forget()
        return name

    def newest(self) -> str | None:
        """Returns the newest checkpoint on this machine."""
        return next(iter(self._committed_here()), None)

    def _manifests(self, name: str) -> list[str]:
        """Returns the manifests of a checkpoint; the last one commits it."""
        each = [_join(member, f"checkpoints/{name}/manifest.json") for member in self._members]
        return each if self._members == [""] else [*each, f"checkpoints/{name}.json"]

    def _committed(self, paths: Iterable[str]) -> list[str]:
        """Returns the checkpoints that are committed in a listing, newest first."""
        pattern = re.escape(self._manifests("STEP")[-1]).replace("STEP", f"({STEP})")
        matches = (re.fullmatch(pattern, path) for path in paths)
        return sorted((match[1] for match in matches if match), reverse=True)

    def _committed_here(self) -> list[str]:
        folder = self._local / "checkpoints"
        return self._committed(
            p.relative_to(self._local).as_posix() for p in folder.rglob("*.json")
        )

    def _read(self, name: str, whole: bool) -> Files:
        """Returns the files of a checkpoint in storage, after copying them if `whole`.

        Raises:
          Missing, CorruptFile: when it is not whole.
        """
        with tempfile.TemporaryDirectory(dir=self._local.parent, prefix=".pull-") as other:
            target = self._local if whole else Path(other)
            manifests = self._manifests(name)
            for path in reversed(manifests):
                self._storage.get(path, target / path)
            if not whole:
                return self._needed(target, name)
            try:
                files = self._needed(target, name)
                for member, path in zip(self._members, manifests):
                    for file, facts in unseal(target / path, {"files": dict})["files"].items():
                        self._storage.get(_join(member, file), target / member / file)
                        verify(target / member, file, facts)
            except (Missing, CorruptFile):
                (target / manifests[-1]).unlink()  # It does not count here, either.
                raise
            return files

    def _needed(self, root: Path, name: str) -> Files:
        """Returns all files that a checkpoint needs, by manifests that are in a folder."""
        manifests = self._manifests(name)
        files = {path: digest(root / path) for path in manifests}
        if len(manifests) > len(self._members):
            commit = unseal(root / manifests[-1], {"members": dict})["members"]
            if commit != {m: files[path] for m, path in zip(self._members, manifests)}:
                raise CorruptFile(f"{manifests[-1]} is of other manifests")
        for member, path in zip(self._members, manifests):
            for file, facts in unseal(root / path, {"files": dict})["files"].items():
                if not NAME.fullmatch(file) or not isinstance(facts, dict):
                    raise CorruptFile(f"{path} is damaged: {file!r}: {facts!r}")
                files[_join(member, file)] = str(facts.get("sha256"))
        return files

    def _link(self, stage: Path) -> tuple[str | None, Files]:
        """Links the newest checkpoint into a folder: there it outlives its being forgotten."""
        for _ in range(10):
            name = self.newest()
            if name is None or name in self._there:
                return name, {}
            try:
                for path in self._manifests(name):
                    _link(self._local / path, stage / path)
                files = self._needed(stage, name)
                for path in files:
                    if not (stage / path).exists():
                        _link(self._local / path, stage / path)
                return name, files
            except FileNotFoundError:
                continue  # Forgotten at this moment; there is a newer one.
        raise UserError(f"the checkpoints in {self._local} are forgotten faster than linked")

    def _push_others(self) -> None:
        """Copies what belongs to no checkpoint: configuration, timing, events, videos."""
        for path in sorted(self._local.rglob("*")):
            name = path.relative_to(self._local).as_posix()
            if path.name.startswith(".") or path.name in FILES or _OURS.match(name):
                continue
            try:
                facts = path.stat()
                state = (facts.st_size, facts.st_mtime_ns)
                if path.is_file() and self._sent.get(name) != state:
                    self._storage.put(path, name)
                    self._sent[name] = state
            except FileNotFoundError:
                continue

    def _check_owner(self) -> None:
        if self._storage.read(OWNER) != self._token.encode():
            raise Superseded(f"another attempt has taken over {self._storage.url}")

    def _forget(self) -> None:
        """Deletes what no kept checkpoint needs, and what killed uploads left."""
        self._there = dict(sorted(self._there.items())[-self._keep :])
        needed = {path for files in self._there.values() for path in files}
        extra = [p for p in self._storage.paths() if _OURS.match(p) and p not in needed]
        commits = {path for name in self._committed(extra) for path in self._manifests(name)[-1:]}
        self._check_owner()
        self._storage.remove(sorted(commits))
        self._storage.remove([path for path in extra if path not in commits])


def _join(member: str, path: str) -> str:
    return f"{member}/{path}" if member else path


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.link(source, target)
