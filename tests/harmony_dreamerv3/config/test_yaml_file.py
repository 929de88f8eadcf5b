"""Yaml files that may come from anywhere."""

from pathlib import Path

import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3.config.yaml_file import MAX_BYTES, read_yaml


def test_a_shipped_file_may_use_merge_keys(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("a: &a {x: 1}\nb:\n  <<: *a\n  y: 2\n")
    assert read_yaml(path, shipped=True)["b"] == {"x": 1, "y": 2}
    with pytest.raises(UserError, match="merge keys"):
        read_yaml(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "expected a mapping in .*, got"),
        ("", "expected a mapping in .*, got NoneType"),
        ("a: [", "cannot read .* as yaml"),
        ("a: 1\n" * (MAX_BYTES // 5 + 1), f"larger than {MAX_BYTES} bytes; no configuration is"),
    ],
)
def test_what_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        read_yaml(tmp_path / "c.yaml")
    with pytest.raises(UserError, match="cannot read"):
        read_yaml(tmp_path / "none.yaml")


def test_large_files_are_refused(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("a: " + "x" * MAX_BYTES)
    with pytest.raises(UserError, match="no configuration is"):
        read_yaml(path)


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "a: !!python/object:os.system x", "\x00"])
def test_files_that_are_no_configuration(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"config\.yaml"):
        read_yaml(path)
