"""Folders in object storage (`s3://`, `gs://`, `file://`, `memory://`), through fsspec."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import shutil
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from embodied.checkpoint.files import write_atomic
from embodied.core.errors import UserError

EXTRA = "pip install 'harmony-dreamerv3[storage]'"
STAMPS = ".fetched.json"
RECORDS = ("config.yaml", "episodes.jsonl", "metrics.jsonl", "scores.jsonl")
_BATCH = 64  # Small files that are read together, in memory.


class StorageError(UserError):
    """The storage refuses, or cannot be reached."""


class Missing(StorageError):
    """There is no such object, or no such bucket."""


def is_url(text: str) -> bool:
    """Returns whether text names a folder in storage rather than a path."""
    return "://" in text


class Storage:
    """A folder in object storage; paths are relative to it, with slashes.

    An object is written whole or, except by `file://`, not at all. Nothing is cached: other
    machines write there, too.

    Args:
      url: such as `s3://bucket/folder`. Credentials and endpoints are those that the store's own
        tools find (`AWS_PROFILE`, `AWS_ENDPOINT_URL`, ...).

    Raises:
      UserError: when the URL is none, or the library for it is not installed.
    """

    def __init__(self, url: str) -> None:
        if not is_url(url):
            raise UserError(f"expected a URL such as s3://bucket/folder, got {url!r}")
        try:
            import fsspec

            options: dict[str, Any] = {"use_listings_cache": False}
            if url.startswith(("file:", "local:")):
                options["auto_mkdir"] = True
            self._files, root = fsspec.url_to_fs(url, **options)
        except ImportError as error:
            raise UserError(f"{url} needs a library that is missing ({error}): {EXTRA}") from error
        except ValueError as error:
            raise UserError(f"{url}: {error}; try s3://, gs:// or file://") from error
        self.url = url.rstrip("/")
        self._root = str(root).rstrip("/")

    def below(self, folder: str) -> Storage:
        """Returns a folder in this one."""
        return Storage(f"{self.url}/{folder}")

    def paths(self) -> dict[str, str]:
        """Returns all paths, each with a text that changes whenever the object does."""
        with self._told("list"):
            found = self._files.find(self._root, detail=True)
        stamps = {}
        for name, info in found.items():
            path = name[len(self._root) + 1 :]
            if path and ".." not in path.split("/"):  # A key may be anything.
                text = repr(sorted(info.items(), key=str))
                stamps[path] = hashlib.sha256(text.encode()).hexdigest()
        return stamps

    def exists(self, path: str) -> bool:
        """Returns whether there is an object."""
        with self._told(f"look for {path}"):
            return bool(self._files.exists(self._at(path)))

    def read(self, path: str) -> bytes:
        """Returns an object; raises Missing where there is none."""
        with self._told(f"read {path}"):
            return self._files.cat_file(self._at(path))

    def read_many(self, paths: Collection[str]) -> dict[str, bytes]:
        """Returns those of some small objects that are there, all at a time."""
        where = {self._at(path): path for path in paths}
        with self._told(f"read {len(paths)} files"):
            found = self._files.cat(list(where), on_error="return") if where else {}
            for data in found.values():
                if isinstance(data, Exception) and not isinstance(data, FileNotFoundError):
                    raise data
        return {where[at]: data for at, data in found.items() if isinstance(data, bytes)}

    def write(self, path: str, data: bytes) -> None:
        """Replaces an object."""
        with self._told(f"write {path}"):
            self._files.pipe_file(self._at(path), data)

    def get(self, path: str, target: Path) -> None:
        """Copies an object to a file, whose folder is made; raises Missing where there is none."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._told(f"read {path}"):
            self._files.get_file(self._at(path), str(target))

    def put(self, source: Path, path: str) -> None:
        """Copies a file to an object."""
        with self._told(f"write {path}"):
            self._files.put_file(str(source), self._at(path))

    def remove(self, paths: Collection[str]) -> None:
        """Deletes objects that are there."""
        if paths:
            with self._told(f"delete {len(paths)} files"):
                self._files.rm([self._at(path) for path in paths])

    def check(self) -> None:
        """Writes, reads and deletes a small object.

        Raises:
          UserError: when that fails: no such bucket, no permission, no connection.
        """
        path = f".check-{uuid.uuid4().hex}"
        self.write(path, b"may be deleted")
        self.read(path)
        self.remove([path])

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    @contextlib.contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise Missing(f"cannot {doing} in {self.url}: {error or 'there is none'}") from error
        except Exception as error:  # Every store has its own kinds.
            raise StorageError(
                f"cannot {doing} in {self.url}: {error or type(error).__name__}; see that the "
                "bucket exists and that this machine may use it"
            ) from error


def fetch(storage: Storage, target: Path, wanted: Callable[[str], bool]) -> None:
    """Brings small files up to date with those in storage.

    A file is written when the object has changed since the last call, and deleted when its object
    is gone; files that never came from the storage stay as they are.

    Args:
      storage: the folder in storage.
      target: folder on this machine.
      wanted: says of a path whether it is to be fetched.
    """
    stamps = target / STAMPS
    try:
        old = json.loads(stamps.read_text("utf-8"))
    except (OSError, ValueError):
        old = {}
    now = {path: stamp for path, stamp in storage.paths().items() if wanted(path)}
    changed = [path for path, stamp in now.items() if old.get(path) != stamp]
    gone = [path for path in old if path not in now]
    if not changed and not gone:
        return
    try:
        for start in range(0, len(changed), _BATCH):
            batch = changed[start : start + _BATCH]
            found = storage.read_many(batch)
            for path, data in found.items():
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                write_atomic(target / path, data)
            now = {path: s for path, s in now.items() if path in found or path not in batch}
        for path in gone:
            if ".." not in path.split("/"):
                (target / path).unlink(missing_ok=True)
        target.mkdir(parents=True, exist_ok=True)
        write_atomic(stamps, json.dumps(now).encode())
    except OSError as error:
        raise UserError(f"cannot write to {target} what {storage.url} holds: {error}") from error


def fetch_records(url: str) -> Path:
    """Returns a folder with the records of all runs below a URL, deleted when this process ends.

    Raises:
      UserError: when there are none, or the storage cannot be read.
    """
    target = Path(tempfile.mkdtemp(prefix="records-"))
    atexit.register(shutil.rmtree, target, ignore_errors=True)

    def wanted(path: str) -> bool:
        *folders, name = path.split("/")
        return name in RECORDS and "checkpoints" not in folders

    fetch(Storage(url), target, wanted)
    if not (target / STAMPS).exists():
        raise UserError(f"{url} holds no run: no {' or '.join(RECORDS[:2])} is in it")
    return target
