"""The direction of imports, and that score verbs work without JAX."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What a module of `harmony_dreamerv3` may import of its siblings.
ALLOWED = {
    "config": {"config"},
    "nets": {"config", "nets"},
    "balance": {"balance"},
    "optim": {"config"},
    "world_model": {"config", "nets"},
    "behavior": {"config", "nets"},
    "loss_tasks": {"config", "balance", "optim"},
    "agents": {
        "config", "nets", "world_model", "behavior", "loss_tasks", "balance", "optim",
        "prng",
    },
}  # fmt: skip


def imports_of(path: Path) -> list[str]:
    """Absolute names of everything that a file imports, also inside functions."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("path", files("embodied"), ids=lambda p: str(p.relative_to(ROOT)))
def test_embodied_knows_no_agent_and_no_jax(path: Path) -> None:
    for name in imports_of(path):
        head = name.split(".")[0]
        assert head not in ("harmony_dreamerv3", "jax", "jaxlib", "flax", "optax"), name


@pytest.mark.parametrize("path", files("embodied"), ids=lambda p: str(p.relative_to(ROOT)))
def test_direction_inside_embodied(path: Path) -> None:
    room = path.relative_to(ROOT / "embodied").parts[0]
    allowed = {
        "core": {"core"},
        "stepping": {"core", "stepping"},
        "checkpoint": {"core", "checkpoint"},
        "records": {"core", "checkpoint", "records"},
        "replay": {"core", "checkpoint", "replay"},
        "envs": {"core", "stepping", "envs"},
        "run": {"core", "stepping", "checkpoint", "records", "replay", "envs", "run"},
    }.get(room, set())
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] == "embodied" and len(parts) > 1:
            assert parts[1] in allowed, f"{room} imports {name}"


@pytest.mark.parametrize("path", files("scores"), ids=lambda p: str(p.relative_to(ROOT)))
def test_scores_know_files_alone(path: Path) -> None:
    for name in imports_of(path):
        assert name.split(".")[0] not in ("harmony_dreamerv3", "sweeps", "lab", "jax"), name


@pytest.mark.parametrize("path", files("harmony_dreamerv3"), ids=lambda p: str(p.relative_to(ROOT)))
def test_direction_inside_the_agent(path: Path) -> None:
    room = path.relative_to(ROOT / "harmony_dreamerv3").parts[0].removesuffix(".py")
    if room not in ALLOWED:
        return
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] == "harmony_dreamerv3" and len(parts) > 1 and parts[1] != "__version__":
            assert parts[1] in ALLOWED[room] | {room}, f"{room} imports {name}"


@pytest.mark.parametrize("path", files("harmony_dreamerv3/balance"), ids=lambda path: path.name)
def test_balance_imports_jax_alone(path: Path) -> None:
    for name in imports_of(path):
        head = name.split(".")[0]
        own = name.startswith("harmony_dreamerv3.balance.")
        assert own or head == "jax" or head in sys.stdlib_module_names, name


def test_a_breach_would_be_seen(tmp_path: Path) -> None:
    path = tmp_path / "breach.py"
    lines = (
        "def f():",
        "    from harmony_dreamerv3.agents.dreamerv3 import Agent",
        "    import jax.numpy",
    )
    path.write_text("\n".join(lines))
    assert imports_of(path) == ["harmony_dreamerv3.agents.dreamerv3.Agent", "jax.numpy"]


def test_score_verbs_work_without_jax() -> None:
    code = (
        "import sys\n"
        "for name in ('jax', 'jaxlib', 'flax', 'optax', 'chex'):\n"
        "    sys.modules[name] = None\n"
        "from harmony_dreamerv3.main import main\n"
        "sys.exit(main(['table', 'paper:harmony', 'paper:dreamerv3']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "pong" in done.stdout.lower()
