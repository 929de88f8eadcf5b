"""Lines, their order, and means that do not depend on when they are saved."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from embodied.core.errors import UserError
from embodied.records.run_records import FILES, Records


def numbers(folder: Path) -> list[int]:
    text = (folder / "episodes.jsonl").read_text()
    return [json.loads(line)["n"] for line in text.splitlines()]


def test_lines_kept_back_come_after_the_block(tmp_path: Path) -> None:
    records = Records(tmp_path)
    for n in range(5):
        if n == 2:
            records.hold()
        records.write("episodes.jsonl", {"n": n})
    assert numbers(tmp_path) == [0, 1]
    records.release([("episodes.jsonl", {"n": 100})])
    records.write("episodes.jsonl", {"n": 5})
    assert numbers(tmp_path) == [0, 1, 100, 2, 3, 4, 5]


def test_loading_cuts_back_and_keeps_holding(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.write("episodes.jsonl", {"n": 0})
    records.hold()
    records.write("episodes.jsonl", {"n": 1})
    contents, held = records.save()
    records.release([])
    (tmp_path / "metrics.jsonl").write_bytes(b'{"half": ')
    other = Records(tmp_path)
    other.load(contents, held)
    assert numbers(tmp_path) == [0] and (tmp_path / "metrics.jsonl").read_bytes() == b""
    other.write("episodes.jsonl", {"n": 2})
    other.release([("episodes.jsonl", {"n": 9})])
    assert numbers(tmp_path) == [0, 9, 1, 2]


def test_numbers_that_are_not_finite_are_valid_json(tmp_path: Path) -> None:
    Records(tmp_path).write("metrics.jsonl", {"a": float("nan"), "b": float("inf"), "c": 1.5})
    assert (tmp_path / "metrics.jsonl").read_text() == '{"a": null, "b": null, "c": 1.5}\n'


def test_a_refusing_disk_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write .*episodes.jsonl"):
        Records(tmp_path / "missing").write("episodes.jsonl", {"n": 0})


def test_links_are_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_bytes(b"keep")
    for name in FILES:
        os.symlink(target, tmp_path / name)
    with pytest.raises(UserError):
        Records(tmp_path).write("episodes.jsonl", {"n": 0})
    Records(tmp_path).load(dict.fromkeys(FILES, b"new"), None)
    assert target.read_bytes() == b"keep"
