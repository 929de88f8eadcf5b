"""Records of our own are read up to what is still being written."""

from pathlib import Path

from embodied.records.lines import read_lines, tail


def test_unfinished_and_foreign_lines_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n\nnull\n[2]\n{"step": 2, "eval/return": 3.0}\n{"step": 3, "ev')
    assert read_lines(path) == [{"step": 1}, {"step": 2, "eval/return": 3.0}]
    assert read_lines(path, needle=b'"eval/return"') == [{"step": 2, "eval/return": 3.0}]
    assert read_lines(tmp_path / "none.jsonl") == [] == read_lines(tmp_path)


def test_only_the_end_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b'{"a": 1}\n{"a": 2}\n')
    assert tail(path, 9) == b'{"a": 2}\n' and tail(path, 999) == path.read_bytes()
    assert read_lines(path, 12) == [{"a": 2}]  # The first line is cut, so it is no line.
