"""`train --init` takes what fits, says what does not, and does so once."""

import json

import numpy as np
import tiny

from harmony_dreamerv3.interop import sources
from harmony_dreamerv3.main import main


def begin(source, folder, *words):
    return main(["train", "--init", str(source), "--logdir", str(folder), *tiny.WORDS, *words])


def first_of(folder):
    return sources.read(folder / "checkpoints" / f"{0:012d}").arrays


def test_a_run_begins_where_another_ended(exported, tmp_path, capsys):
    source = sources.read(exported[0] / "run")
    assert begin(source.place, tmp_path / "a") == 0
    count = len(source.parameters)
    out = capsys.readouterr().out
    assert f"init: {count} of {count} parameters from {source.place}, step 24\n" in out
    assert "not taken over" not in out
    first = first_of(tmp_path / "a")
    for name, value in source.arrays.items():
        if name in source.parameters:
            assert np.array_equal(first[name], value), name
        elif name.startswith("opt/") or name == "updates":
            assert not first[name].any(), name
    note = json.loads((tmp_path / "a" / "init.json").read_text())
    assert note["init"] == str(source.place) and note["step"] == 24 and note["left"] == {}
    assert len(note["taken"]) == count


def test_it_is_not_done_again(exported, tmp_path, capsys):
    """The source may be gone, and what was trained since stays."""
    moved = tmp_path / "source.npz"
    moved.write_bytes((exported[0] / "out.npz").read_bytes())
    assert begin(moved, tmp_path / "a", "--run.steps", "12") == 0
    end = sources.read(tmp_path / "a")
    moved.unlink()
    capsys.readouterr()
    assert begin(moved, tmp_path / "a", "--run.steps", "12") == 0
    assert main(["train", "--logdir", str(tmp_path / "a")]) == 0
    assert "init:" not in capsys.readouterr().out
    again = sources.read(tmp_path / "a")
    assert all(np.array_equal(again.arrays[key], value) for key, value in end.arrays.items())
    # Another source is another run.
    assert begin(exported[0] / "run", tmp_path / "a") == 2
    assert f"init: '{moved}' there" in capsys.readouterr().err


def test_part_of_it_into_other_sizes(exported, tmp_path, capsys):
    words = ["--init-keys", "world_model/", "--decoder.mlp_units", "7", "--run.steps", "8"]
    assert begin(exported[0] / "run", tmp_path / "a", *words) == 0
    out = capsys.readouterr().out
    assert "init: not taken over, by name and shape:\n" in out
    assert "  world_model/decoder/mlp/h0/kernel: [20, 6] there, [20, 7] here\n" in out
    assert "actor" not in out.partition("init: ")[2].partition("replay:")[0]
    left = json.loads((tmp_path / "a" / "init.json").read_text())["left"]
    assert left["world_model/decoder/mlp/h0/kernel"] == {"there": [20, 6], "here": [20, 7]}


def test_nothing_that_fits(exported, tmp_path, capsys):
    assert begin(exported[0] / "run", tmp_path / "a", "--init-keys", "nothing") == 2
    assert "init_keys 'nothing' names fits this agent" in capsys.readouterr().err
    assert not (tmp_path / "a" / "init.json").exists()
    assert begin(tmp_path / "none", tmp_path / "b") == 2
    assert "expected the folder of a run" in capsys.readouterr().err
