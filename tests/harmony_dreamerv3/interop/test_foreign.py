"""Checkpoints of other programs are named, with what can be done."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from harmony_dreamerv3.interop import foreign
from harmony_dreamerv3.main import main


def torch_file(value) -> bytes:
    """An archive as PyTorch writes it, but for the tensors."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(value, 2))
        archive.writestr("archive/version", "3\n")
    return stream.getvalue()


FILES = {
    "latest.pt": (torch_file({"agent_state_dict": {"_wm.x": 1}}), "dreamerv3-torch"),
    "ckpt_1_0.ckpt": (torch_file({"world_model": {}, "world_optimizer": {}}), "SheepRL"),
    "model.pt": (torch_file({"weight": 1}), "PyTorch"),
    "cut.pt": (torch_file({"weight": 1})[:-30], "PyTorch"),
    "old.pth": (pickle.dumps(0x1950A86A20F9469CFC6C, 2) + b"more", "PyTorch"),
    "agent.pkl": (pickle.dumps({"params": {}, "counters": {}}), "upstream DreamerV3 of 2025"),
    "variables.pkl": (pickle.dumps([np.zeros(2)]), "DreamerV2 in TensorFlow"),
}


@pytest.mark.parametrize("name", FILES)
def test_files(tmp_path, capsys, name):
    data, program = FILES[name]
    path = tmp_path / name
    path.write_bytes(data)
    assert foreign.program_of(path) == program
    assert main(["import", str(path), "--logdir", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert f"{path} is a checkpoint of {program}: " in error and len(error) > 100
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("place", "program", "advice"),
    [
        ("ckpt/20250101T000000F000000/agent.pkl", "upstream DreamerV3 of 2025", "numpy.savez"),
        ("20250101T000000F000000/agent.pkl", "upstream DreamerV3 of 2025", "numpy.savez"),
        ("checkpoint.ckpt", "the released code", "give its file: "),
        ("version_0/checkpoint/ckpt_5000_0.ckpt", "SheepRL", "table RUN_FOLDER"),
        ("latest.pt", "dreamerv3-torch", "table RUN_FOLDER"),
        ("default/_METADATA", "Orbax", "arrays by name"),
        ("checkpoints/000000000100/manifest.json", "this program", "train --logdir"),
    ],
)
def test_folders(tmp_path, capsys, place, program, advice):
    path = tmp_path / "theirs" / place
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    assert main(["import", str(tmp_path / "theirs"), "--logdir", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert f" of {program}: " in error and advice in error


def test_others_are_unknown(tmp_path):
    for name, data in (("a.ckpt", b"\x80\x04N."), ("b.zip", b"PK\x03\x04"), ("c.npz", b"PK")):
        (tmp_path / name).write_bytes(data)
    assert foreign.program_of(tmp_path / "a.ckpt") is None
    assert foreign.program_of(tmp_path / "b.zip") is None
    assert foreign.program_of(tmp_path / "c.npz") is None
    assert foreign.program_of(tmp_path / "missing") is None
    assert foreign.program_of(tmp_path) is None
