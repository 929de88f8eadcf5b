"""Objects of strangers' modules, by path."""

import sys
from pathlib import Path

import pytest

from embodied.core.dotted import is_path, resolve
from embodied.core.errors import UserError


def test_paths() -> None:
    assert is_path("a.b_2:name") and is_path("mod:f")
    assert not any(map(is_path, ("atari_pong", "a.b", "a:b.c", ":f", "a..b:f", "1a:f", "a:f/x")))
    assert resolve("pathlib:Path") is Path


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("atari_pong", "expected a path 'package.module:name', got 'atari_pong'"),
        ("nowhere.at_all:f", "there is no module 'nowhere'.*PYTHONPATH"),
        ("pathlib:Paht", "pathlib has no 'Paht'; did you mean 'Path'"),
        ("stranger_broken:f", "importing stranger_broken raised .*ZeroDivisionError"),
        ("stranger_exits:f", "importing stranger_exits raised"),
        ("stranger_lacks:f", "importing stranger_lacks raised .*nowhere"),
    ],
)
def test_what_is_wrong_with_it(
    path: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = {"broken": "1 / 0", "exits": "raise SystemExit(3)", "lacks": "import nowhere"}
    for name, code in codes.items():
        (tmp_path / f"stranger_{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=message):
        resolve(path)
    assert not any(name.startswith("stranger") for name in sys.modules)
