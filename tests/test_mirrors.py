"""Tests mirror sources: `package/room/module.py` has `tests/package/room/test_module.py`."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("embodied", "harmony_dreamerv3", "lab", "scores", "sweeps")
# Modules that have no such file, each tested through others. The list may only become shorter.
WITHOUT = Path(__file__).with_name("unmirrored.txt")


def modules() -> list[str]:
    """Paths of all modules that are more than a package's front or a command's entry."""
    paths = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return sorted(str(p.relative_to(ROOT)) for p in paths if not p.name.startswith("__"))


def mirror(module: str) -> Path:
    """Where the test of a module is."""
    path = Path(module)
    return ROOT / "tests" / path.with_name(f"test_{path.name}")


def test_every_new_module_has_a_test_file() -> None:
    without = {module for module in modules() if not mirror(module).exists()}
    new = without - set(WITHOUT.read_text().split())
    assert not new, f"without tests/.../test_MODULE.py: {sorted(new)}"
