"""Records of an analysis that never took place, and a small buffer."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import make_config

from embodied.checkpoint.files import encode
from harmony_dreamerv3 import config as configs
from lab import files, regress, rewards
from lab.buffer import Buffer

OBSERVED, PREDICTED = 35, 15


@pytest.fixture
def make_buffer():
    """Builds a buffer of one-hot actions with episodes of given lengths, stream after stream."""

    def make(*streams: list[int], image: int = 0, base: str = "dreamerv3", **flags: Any) -> Buffer:
        rows = sum(map(sum, streams))
        rng = np.random.default_rng(0)
        first = np.zeros(rows, bool)
        starts = np.cumsum([0, *(n for stream in streams for n in stream)])
        first[starts[:-1]] = True
        arrays = {
            "action": np.eye(3, dtype=np.float32)[rng.integers(3, size=rows)],
            "reward": (rng.random(rows) < 0.2).astype(np.float32),
            "is_first": first,
            "is_last": np.append(first[1:], True),
            "is_terminal": np.zeros(rows, bool),
            "position": rng.normal(size=(rows, 2)).astype(np.float32),
            "state": rng.normal(size=(rows, 2)).astype(np.float32),
        }
        if image:
            arrays["image"] = rng.integers(0, 255, (rows, image, image, 3), np.uint8)
        flags = {"encoder__mlp_keys": "position", "decoder__mlp_keys": "position", **flags}
        flags |= {"batch_size": 2, "batch_length": 4}
        if base == "dreamerv3":
            config = make_config(**flags)
        else:
            given = {key.replace("__", "."): value for key, value in flags.items()}
            config = configs.make(["debug_2025"], given)
        config = dataclasses.replace(config, task="dummy_disc")
        return Buffer(config, arrays, tuple(np.cumsum([sum(s) for s in streams]).tolist()))

    return make


@pytest.fixture
def make_records(tmp_path: Path):
    """Writes the records of an analysis with two methods and two seeds into a folder."""

    def make(image: bool = True, sparse: bool = True) -> Path:
        rng = np.random.default_rng(0)
        windows, length = 40, OBSERVED + PREDICTED
        true = rng.normal(size=(windows, length))
        true = (true > 1.5).astype(float) if sparse else true.cumsum(1) / 5
        spread = np.linspace(0.1, 0.6, length)
        predicted = {
            name: true + size * spread * rng.normal(size=(2, windows, length))
            for name, size in (("dreamerv3", 1.0), ("harmony", 0.5))
        }
        given = rewards.scale(true, None)
        episode = np.arange(windows) // 4
        curves = {name: values[0, 0].tolist() for name, values in predicted.items()}
        tests = [{"mse": 0.1, "r2": 0.9, "r2_by_dimension": [0.9, None]},
                 {"mse": 0.2, "r2": 0.7, "r2_by_dimension": [0.7, None]}]  # fmt: skip
        fits = [dict(zip(("observed", "predicted"), order)) for order in (tests, tests[::-1])]
        sigma = {"log_sigma": 0.5, "log_sigma_star": 2.0, "distance": -1.5}
        result = {
            "format": files.FORMAT,
            "task": "distract_reach",
            "options": {"observed": OBSERVED, "predicted": PREDICTED, "strip": [15, 35, 5]},
            "reward_scale": dataclasses.asdict(given),
            "reward": rewards.summarize(true, predicted, OBSERVED, episode, given),
            "state": {"state": regress.summarize(dict.fromkeys(predicted, fits))},
            "sigma": {"dreamerv3": {}, "harmony": {"reward": sigma}},
            "strip": {
                "shown": list(range(0, length, 5)),
                "reward": true[0].tolist(),
                "predicted": curves,
            },
            "failed": [],
        }
        folder = tmp_path / "analysis"
        folder.mkdir()
        (folder / files.RESULT).write_text(json.dumps(result, allow_nan=False))
        with open(folder / files.UPDATES, "w") as file:
            for name, seed, update in np.ndindex(2, 2, 8):
                loss = {"observation": 300, "reward": 2, "dynamics": 4}
                parts = {"image": 200, "position": 100, "reward": 2, "dyn": 4, "rep": 4, "cont": 1}
                line = {f"loss/{k}": v / (1 + update + seed) for k, v in parts.items()}
                line |= {f"balance/log_sigma/{k}": 0.01 * update for k in loss if name}
                line |= {f"balance/log_sigma_star/{k}": np.log(v) for k, v in loss.items() if name}
                who = {"method": list(predicted)[name], "seed": seed, "update": 50 * (update + 1)}
                file.write(json.dumps({**who, **line}) + "\n")
        if image:
            names = ("true", "model/dreamerv3", "model/harmony")
            drawn = {k: rng.integers(0, 255, (10, 16, 16, 3)).astype(np.uint8) for k in names}
            (folder / files.FRAMES).write_bytes(encode(drawn))
        return folder

    return make
