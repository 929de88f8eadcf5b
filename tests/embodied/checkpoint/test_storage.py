"""Folders in object storage; a real S3 protocol where a server for it is installed."""

from __future__ import annotations

import builtins
import time
from pathlib import Path
from typing import Any

import pytest
from s3_server import BUCKET, serve

from embodied.checkpoint.storage import Missing, Storage, StorageError, fetch, fetch_records
from embodied.core.errors import UserError


@pytest.fixture(params=["memory", "file"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    scheme = "file://" if request.param == "file" else "memory:/"
    return Storage(f"{scheme}{tmp_path}/there/")


def everything(storage: Storage, folder: Path) -> None:
    """What a store has to do; also asked of a real server."""
    storage.check()
    assert storage.paths() == {}
    storage.write("a/one", b"1")
    (folder / "two").write_bytes(b"22")
    storage.put(folder / "two", "a/b/two")
    first = storage.paths()
    assert set(first) == {"a/one", "a/b/two"}
    assert storage.read("a/one") == b"1" and storage.exists("a/one")
    assert not storage.exists("a/three")
    assert storage.read_many(["a/one", "a/b/two", "a/three"]) == {"a/one": b"1", "a/b/two": b"22"}
    time.sleep(0.01)
    storage.write("a/one", b"3")  # As long as before.
    second = storage.paths()
    assert second["a/one"] != first["a/one"] and second["a/b/two"] == first["a/b/two"]
    storage.below("a").get("b/two", folder / "x" / "copy")
    assert (folder / "x" / "copy").read_bytes() == b"22"
    for call in (storage.read, lambda path: storage.get(path, folder / "none")):
        with pytest.raises(Missing, match="nothing"):
            call("nothing")
    storage.remove(["a/one", "a/b/two"])
    assert storage.paths() == {}


def test_objects(storage: Storage, tmp_path: Path) -> None:
    everything(storage, tmp_path)


def test_fetch_brings_what_has_changed(storage: Storage, tmp_path: Path, monkeypatch: Any) -> None:
    here = tmp_path / "here"
    fetch(storage, here, lambda path: True)
    assert not here.exists()
    for path in ("a/x.json", "b/x.json", "a/big"):
        storage.write(path, path.encode())
    asked: list[str] = []
    read = Storage.read_many
    monkeypatch.setattr(
        Storage, "read_many", lambda self, paths: (asked.extend(paths), read(self, paths))[1]
    )

    def wanted(path: str) -> bool:
        return path.endswith(".json")

    fetch(storage, here, wanted)
    assert sorted(asked) == ["a/x.json", "b/x.json"] and not (here / "a" / "big").exists()
    (here / "a" / "own.json").write_text("mine")
    asked.clear()
    time.sleep(0.01)
    storage.write("b/x.json", b"other")
    storage.remove(["a/x.json"])
    fetch(storage, here, wanted)
    assert asked == ["b/x.json"] and (here / "b" / "x.json").read_bytes() == b"other"
    assert not (here / "a" / "x.json").exists() and (here / "a" / "own.json").exists()


def test_records_of_runs(storage: Storage) -> None:
    with pytest.raises(UserError, match="holds no run"):
        fetch_records(storage.url)
    storage.write("m/t/seed-0/config.yaml", b"task: atari_pong\n")
    storage.write("m/t/seed-0/episodes.jsonl", b"{}\n")
    storage.write("m/t/seed-0/checkpoints/000000000001/episodes.jsonl", b"old\n")
    found = fetch_records(storage.url)
    files = sorted(p.relative_to(found).as_posix() for p in found.rglob("*.*") if p.is_file())
    assert [f for f in files if "/" in f] == [
        "m/t/seed-0/config.yaml",
        "m/t/seed-0/episodes.jsonl",
    ]


def test_messages(tmp_path: Path, monkeypatch: Any) -> None:
    with pytest.raises(UserError, match="expected a URL such as s3://"):
        Storage("bucket/folder")
    with pytest.raises(UserError, match="Protocol not known"):
        Storage("nonsense://bucket")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"cannot write .*see that the bucket exists"):
        Storage(f"file://{tmp_path}/file").check()
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "fsspec":
            raise ImportError(f"No module named {name!r}")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"pip install 'harmony-dreamerv3\[storage\]'"):
        Storage("memory://x")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Those of the libraries.
def test_a_real_protocol(tmp_path: Path, monkeypatch: Any) -> None:
    with serve(monkeypatch):
        everything(Storage(f"{BUCKET}/some/folder"), tmp_path)
        with pytest.raises(Missing, match="bucket does not exist"):
            Storage("s3://absent/folder").check()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("HOME", str(tmp_path))
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()
        with pytest.raises(StorageError, match=r"in s3://bucket: Unable to locate credentials"):
            Storage(BUCKET).check()
