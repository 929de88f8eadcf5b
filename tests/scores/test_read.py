"""Reading hostile and broken files: a reason instead of a crash, and bounded memory."""

import gzip
import json
import tracemalloc

import pytest

from scores import read
from scores.read import BadFile


def test_reads_json_packed_or_not(tmp_path):
    (tmp_path / "a.json").write_text("[1]")
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b"[1]"))
    assert read.read_json(tmp_path / "a.json") == read.read_json(tmp_path / "a.json.gz") == [1]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.json.gz", b"[1]", "not a gzip file"),
        ("a.json.gz", gzip.compress(b"[1]" * 999, mtime=0)[:-12], "cut short"),
        ("a.json.gz", gzip.compress(b"[1]", mtime=0)[:10] + b"\xff" * 20, "damaged"),
        ("a.json", b'{"steps": [1, 2', "not JSON, perhaps cut short"),
        ("a.json", b"[" * 100_000, "not JSON"),
        ("a.json", b"[" + b"9" * 5000 + b"]", "not JSON"),
        ("a.json", b"\xff\xfe\x00", "not UTF-8"),
        ("absent.json", None, "cannot be read"),
    ],
)
def test_bad_files_have_a_reason(tmp_path, name, data, reason):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(BadFile, match=reason):
        read.read_json(tmp_path / name)


def test_a_gzip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.json.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(256):
            file.write(b"\0" * 2**20)
    tracemalloc.start()
    with pytest.raises(BadFile, match="larger than 32 MiB"):
        read.read_json(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * read.MAX_BYTES


def records(path):
    found = list(read.read_jsonl(path, '"x"'))
    return [f for f in found if isinstance(f, dict)], [str(f) for f in found if type(f) is BadFile]


def test_jsonl_skips_lines_without_the_needle_and_reports_bad_ones(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"x": 1}\n\n{"y": 2}\n[3, "x"]\n{"x": 4}\n{"x": 5\n{"y": 6\n{"x": 7}')
    good, bad = records(path)
    assert [record["x"] for record in good] == [1, 4, 7]
    assert [reason.split(" is ")[0] for reason in bad] == ["line 4", "line 6", "line 7"]


def test_jsonl_lines_that_only_make_sense_joined_are_bad(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"x": [{}\n{}], "x": 1}\n')
    assert records(path)[0] == []


def test_jsonl_across_blocks_gives_every_line_once(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"x": n}) + "\n" for n in range(500)))
    monkeypatch.setattr(read, "MAX_LINE", 64)
    good, bad = records(path)
    assert [record["x"] for record in good] == list(range(500))
    assert not bad


def test_jsonl_stops_at_an_endless_line_and_at_many_bad_ones(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"x": 1}\n' + b"0" * (5 * 2**20))
    good, bad = records(path)
    assert len(good) == 1
    assert bad == ["line 2 is too long; stopped there"]
    path.write_bytes(b"nonsense\n" * 100_000)
    good, bad = records(path)
    assert len(bad) <= read.MAX_BAD_LINES + 2
    assert "rest is left out" in bad[-1]
