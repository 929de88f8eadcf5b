"""Run folders in storage: every moment at which an upload may end leaves a whole checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from embodied.checkpoint.checkpoints import Checkpoints
from embodied.checkpoint.manifest import Part
from embodied.checkpoint.storage import Missing, Storage
from embodied.core.errors import UserError
from sweeps.mirror import Mirror, Superseded

ONE, TWO = ("",), ("seed-0", "seed-1")


class Killed(BaseException):
    """Stands for SIGKILL: nobody catches it."""


class Mortal(Storage):
    """Dies in the n-th change; what it was writing is then missing, or cut off, or whole."""

    left, how = -1, "before"

    def write(self, path: str, data: bytes) -> None:
        self._change(lambda: Storage.write(self, path, data), path, data)

    def put(self, source: Path, path: str) -> None:
        self._change(lambda: Storage.put(self, source, path), path, source.read_bytes())

    def remove(self, paths: Collection[str]) -> None:
        for path in sorted(paths):  # One by one: the worst case.
            self._change(lambda path=path: Storage.remove(self, [path]), path)

    def _change(self, act: Any, path: str, data: bytes | None = None) -> None:
        self.left -= 1
        if self.left == 0:
            if self.how == "after":
                act()
            elif self.how == "half" and data:
                Storage.write(self, path, data[: len(data) // 2])
            raise Killed
        act()


class Run:
    """A run on some machine that counts, with a replay of one file for each checkpoint."""

    def __init__(self, local: Path, members: tuple[str, ...] = ONE) -> None:
        self.local, self.members = local, members
        self.folders = [local / member for member in members]
        for folder in self.folders:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "config.yaml").write_text("seed: 0\n")
        self.checkpoints = Checkpoints(local, self.folders)
        found = self.checkpoints.load()
        self.step = found[0].state["step"] if found else 0
        self.replay = list(found[0].state["replay"]) if found else []

    def save(self) -> None:
        """One more step, one more checkpoint; the replay keeps its last three files."""
        self.step += 1
        new = f"{self.step:012d}.bin"
        kept = self.replay[-2:]
        self.replay = [*kept, new]
        lines = b"".join(b'{"step": %d}\n' % step for step in range(self.step))
        files = {"learner.bin": b"learner %d" % self.step, "episodes.jsonl": lines}
        state = {"step": self.step, "replay": self.replay}
        part = Part(state, files, {new: b"replay %d" % self.step}, kept)
        self.checkpoints.save(self.step, [part] * len(self.folders))
        for folder in self.folders:
            (folder / "episodes.jsonl").write_bytes(lines + b"later")
            (folder / "timing.jsonl").write_text("t" * self.step)


def whole(storage: Storage, folder: Path, members: tuple[str, ...]) -> int:
    """Pulls as another node would, and returns the step that it would continue from."""
    Mirror(storage, folder, members).pull()
    run = Run(folder, members)
    for member in run.folders:
        assert not (member / "episodes.jsonl").exists()  # The checkpoint has them.
    return run.step


@pytest.fixture(autouse=True)
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """No power cut is tested here, and thousands of files are written."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"file://{tmp_path}/there" if request.param == "file" else f"memory:/{tmp_path}/there"


@pytest.mark.parametrize("members", [ONE, TWO])
def test_a_run_goes_on_elsewhere(url: str, members: tuple[str, ...], tmp_path: Path) -> None:
    storage = Storage(url)
    mirror, run = Mirror(storage, tmp_path / "a", members), Run(tmp_path / "a", members)
    mirror.pull()
    assert mirror.push() is None
    for step in range(1, 6):
        run.save()
        assert mirror.push() == f"{step:012d}"
    there = storage.paths()
    first = members[0] and f"{members[0]}/"
    kept = sorted(p for p in there if p.startswith(f"{first}checkpoints/") and "learner" in p)
    assert kept == [f"{first}checkpoints/{step:012d}/learner.bin" for step in (4, 5)]
    # Three for each of two checkpoints.
    assert sum(p.startswith(f"{first}replay/") for p in there) == 4
    lines = storage.read(f"{first}episodes.jsonl")
    assert lines.count(b"\n") == 5 and b"later" not in lines  # Those of the checkpoint.
    assert storage.read(f"{first}timing.jsonl") == b"ttttt"

    other = tmp_path / "b"
    assert whole(storage, other, members) == 5
    assert (other / first / "timing.jsonl").read_text() == "ttttt"
    copies = sorted(p.relative_to(other) for p in (other / first / "checkpoints").rglob("*.bin"))
    assert len(copies) == 1  # No more than is needed.
    run.save()
    with pytest.raises(Superseded):
        mirror.push()


@pytest.mark.parametrize("how", ["before", "half", "after"])
@pytest.mark.parametrize("members", [ONE, TWO])
def test_killed_at_any_moment(
    members: tuple[str, ...], how: str, tmp_path: Path, capsys: Any
) -> None:
    moment = 0
    while True:  # Every change of the fourth upload, which also forgets the second checkpoint.
        moment += 1
        url = f"memory://{tmp_path}/{moment}"
        folder = tmp_path / str(moment)
        storage = Mortal(url)
        mirror, run = Mirror(storage, folder / "a", members), Run(folder / "a", members)
        mirror.pull()
        for _ in range(3):
            run.save()
            mirror.push()
        run.save()
        storage.left, storage.how = moment, how
        for step in range(2, 5):
            (folder / f"{step:012d}").mkdir()
        try:
            mirror.push()
        except Killed:
            pass
        else:
            break
        other = Storage(url)
        step = whole(other, folder / "b", members)
        assert step in (3, 4)
        if how != "half":  # Only a manifest that is cut off (`file://` may do that) is passed over.
            assert "not whole" not in capsys.readouterr().out
            for name in mirror._committed(other.paths()):
                Mirror(other, folder / name / "x", members)._read(name, whole=True)
        second, again = Mirror(other, folder / "c", members), folder / "c"
        second.pull()
        run = Run(again, members)
        assert run.step == step
        while run.step < 6:
            run.save()
            second.push()
        assert whole(other, folder / "d", members) == 6
        assert not [p for p in other.paths() if p.endswith("3/learner.bin")]
        shutil.rmtree(folder)
    assert moment > 8


@pytest.mark.parametrize("members", [ONE, TWO])
@pytest.mark.parametrize("name", ["learner.bin", "manifest.json", "replay"])
def test_a_damaged_checkpoint_gives_way(
    name: str, members: tuple[str, ...], tmp_path: Path, capsys: Any
) -> None:
    storage = Storage(f"memory://{tmp_path}")
    mirror, run = Mirror(storage, tmp_path / "a", members), Run(tmp_path / "a", members)
    mirror.pull()
    for _ in range(3):
        run.save()
        mirror.push()
    first = members[0] and f"{members[0]}/"
    newest = f"{first}checkpoints/{3:012d}/"
    path = f"{first}replay/{3:012d}.bin" if name == "replay" else newest + name
    storage.write(path, b"damaged!")
    second = Mirror(storage, tmp_path / "b", members)
    second.pull()
    assert "is not whole" in capsys.readouterr().out
    run = Run(tmp_path / "b", members)
    assert run.step == 2
    run.save()  # Under the names of the damaged one.
    second.push()
    assert whole(storage, tmp_path / "c", members) == 3
    for path in storage.paths():
        if path.endswith("learner.bin"):
            storage.remove([path])
    with pytest.raises(UserError, match="none of the 2 checkpoints"):
        Mirror(storage, tmp_path / "d", members).pull()


def test_a_checkpoint_forgotten_during_its_upload_is_uploaded(tmp_path: Path) -> None:
    storage = Mortal(f"memory://{tmp_path}")
    mirror, run = Mirror(storage, tmp_path / "a"), Run(tmp_path / "a")
    mirror.pull()
    run.save()

    def change(act: Any, path: str, data: bytes | None = None) -> None:
        if path.endswith("learner.bin") and run.step == 1:
            for _ in range(3):
                run.save()
        act()

    storage._change = change  # type: ignore[method-assign]
    assert mirror.push() == f"{1:012d}" and run.step == 4
    assert not (tmp_path / "a" / "checkpoints" / f"{1:012d}").exists()
    assert whole(storage, tmp_path / "b", ONE) == 1


def test_names_in_storage_stay_inside_the_folder(tmp_path: Path) -> None:
    storage = Storage(f"memory://{tmp_path}/there")
    with pytest.raises(Missing):
        storage.read("nothing")
    mirror, run = Mirror(storage, tmp_path / "a"), Run(tmp_path / "a")
    mirror.pull()
    run.save()
    mirror.push()
    storage._files.store[f"{storage._root}/../outside"] = storage._files.store[
        f"{storage._root}/config.yaml"
    ]
    other = tmp_path / "b" / "c"
    Mirror(storage, other).pull()
    assert (other / "config.yaml").exists() and not (other.parent / "outside").exists()
