"""The text that makes a checkpoint."""

import json
from pathlib import Path

import pytest

from embodied.checkpoint import manifest
from embodied.checkpoint.files import CorruptFile, digest
from embodied.core.errors import UserError


def test_what_is_sealed_is_unsealed_in_order(tmp_path: Path) -> None:
    body = {"files": {"b": 1, "a": 2}, "state": {"x": None}}
    (tmp_path / "m").write_bytes(manifest.seal(body))
    again = manifest.unseal(tmp_path / "m", {"files": dict})
    assert again == body and list(again["files"]) == ["b", "a"]
    with pytest.raises(CorruptFile, match="lacks one of"):
        manifest.unseal(tmp_path / "m", {"files": list})


def test_every_changed_byte_is_seen(tmp_path: Path) -> None:
    data = manifest.seal({"files": {"a": 2}})
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        (tmp_path / "m").write_bytes(bytes(changed))
        with pytest.raises(UserError):
            manifest.unseal(tmp_path / "m", {"files": dict})


def test_another_version_is_named(tmp_path: Path) -> None:
    outer = json.loads(manifest.seal({"files": {}}))
    outer["version"] = 9
    outer["sha256"] = manifest._checksum(9, outer["body"])
    (tmp_path / "m").write_text(json.dumps(outer))
    with pytest.raises(UserError, match="format version 9, this program reads version 1"):
        manifest.unseal(tmp_path / "m", {})


def test_damaged_files_of_the_replay_alone_may_be_forgiven(tmp_path: Path) -> None:
    names = ("replay/000000000100.safetensors", "checkpoints/000000000100/loop.safetensors")
    facts = {}
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"abc")
        facts[name] = {"bytes": 3, "sha256": digest(path)}
    assert manifest.damaged_files(tmp_path, facts, lenient=True) == frozenset()
    (tmp_path / names[0]).write_bytes(b"abd")
    assert manifest.damaged_files(tmp_path, facts, True) == {"000000000100.safetensors"}
    with pytest.raises(CorruptFile, match="000000000100"):
        manifest.damaged_files(tmp_path, facts, lenient=False)
    (tmp_path / names[1]).unlink()
    with pytest.raises(CorruptFile, match="loop"):
        manifest.damaged_files(tmp_path, facts, lenient=True)
