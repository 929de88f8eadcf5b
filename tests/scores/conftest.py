"""Small synthetic score files in each of the formats."""

import gzip
import json

import pytest

FRAMES = list(range(20_000, 400_001, 20_000))


@pytest.fixture
def write_run(tmp_path):
    """Writes a run folder of ours: evals {frame: returns}, trains [(frame, return)]."""

    def write(folder, task="atari_pong", seed=0, method="ours", evals=None, trains=(), config=""):
        path = tmp_path / folder
        path.mkdir(parents=True, exist_ok=True)
        text = f"task: {task}\nseed: {seed}\nmethod: {method}\n{config}"
        (path / "config.yaml").write_text(text)
        lines = []
        for mode, points in (
            ("train", list(trains)),
            ("eval", [(f, r) for f, rs in (evals or {}).items() for r in rs]),
        ):
            for episode, (frame, score) in enumerate(points):
                record = {
                    "mode": mode,
                    "step": frame // 4,
                    "frame": frame,
                    "updates": frame // 4,
                    "episode": episode,
                    "return": score,
                    "length": 100,
                    "seed": seed,
                    "terminated": True,
                }
                lines.append(json.dumps(record))
        (path / "episodes.jsonl").write_text("".join(line + "\n" for line in lines))
        return path

    return write


@pytest.fixture
def write_harmony(tmp_path):
    """Writes HarmonyDream's format; `finals` is {game: [score of each seed]}."""

    def write(name, finals, frames=FRAMES):
        path = tmp_path / name
        score = {
            game: [[final * frame / frames[-1] for frame in frames] for final in seeds]
            for game, seeds in finals.items()
        }
        path.write_text(json.dumps({"steps": frames, "score": score}))
        return path

    return write


@pytest.fixture
def write_upstream(tmp_path):
    """Writes upstream's format; runs are (task, method, seed, xs, ys)."""

    def write(name, runs):
        path = tmp_path / name
        keys = ("task", "method", "seed", "xs", "ys")
        content = json.dumps([dict(zip(keys, run)) for run in runs])
        path.write_bytes(gzip.compress(content.encode()))
        return path

    return write
