"""Readers of files from elsewhere, as functions of bytes, and examples to start mutations from.

Each target either takes the bytes or raises UserError; anything else that happens is a fault.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import small

import embodied.envs
from embodied.checkpoint.files import decode, encode
from embodied.checkpoint.manifest import seal
from embodied.run.setup import Setup
from embodied.run.state import RunState
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.config import overrides
from harmony_dreamerv3.interop import bundle, checkpoint
from scores.load import load

ENVS = ("dummy_disc", "catch_easy", "gym_CartPole-v1", "atari_pong", "dmc_cartpole_swingup")
GOLDEN = Path(__file__).parents[1] / "golden"
_scratch = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)


def config(data: bytes) -> None:
    """The `config.yaml` of a run folder."""
    tree = configs.read_yaml(_write("config.yaml", data))
    tree.pop("format", None)
    configs.load(tree, "it")


def flag(data: bytes) -> None:
    """Values of flags on the command line, two of them with yaml inside."""
    text = data.decode(errors="replace")
    flags = dict.fromkeys(("balance.tasks", "balance.options.x", "grad_heads"), text)
    configs.build(overrides.update(_defaults(), flags, "flag"))


def score_file(data: bytes) -> None:
    """A score file; the first byte chooses among the formats."""
    names = ("scores.json", "scores.csv", "scores.json.gz")
    load([str(_write(names[data[0] % 3] if data else names[0], data[1:]))])


def run_folder(data: bytes) -> None:
    """A run folder's `config.yaml` and, after a zero byte, one of its records."""
    folder = _folder() / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    head, _, tail = data.partition(b"\0")
    names = ("episodes.jsonl", "scores.jsonl", "metrics.jsonl")
    (folder / "config.yaml").write_bytes(head)
    (folder / names[len(head) % 3]).write_bytes(tail)
    load([str(folder)])


def arrays(data: bytes) -> None:
    """A file of arrays, such as exported parameters."""
    decode(data, "it")
    checkpoint.read(_write("it.safetensors", data))


def manifest(data: bytes) -> None:
    """The body of a manifest with a right checksum, and a run that continues from it."""
    _continue("manifest", data)


def loop(data: bytes) -> None:
    """The file of environments and counters in a checkpoint with right checksums."""
    _continue("loop.safetensors", data)


def chunk(data: bytes) -> None:
    """A replay file in a checkpoint with right checksums."""
    _continue("chunk", data)


def env_state(data: bytes) -> None:
    """The saved state of an environment, which the first byte chooses."""
    if data:
        env = _env(ENVS[data[0] % len(ENVS)])
        env.load(data[1:])
        with contextlib.suppress(Exception):  # The loop says which environment raised what.
            _play(env)


def golden(data: bytes) -> None:
    """A golden bundle, or a checkpoint exported to the same format."""
    bundle.read(_write("it.npz", data))


def golden_meta(data: bytes) -> None:
    """The text in a golden bundle that describes its agent."""
    parts = {f"{part}/x": np.zeros(2, np.float32) for part in bundle.PARTS}
    with io.BytesIO() as file:
        np.savez(file, meta=np.array(data.decode(errors="replace")), **parts)  # type: ignore[arg-type]
        golden(file.getvalue())


def pickled(data: bytes) -> None:
    """A checkpoint of the released code."""
    checkpoint.read(_write("checkpoint.ckpt", data))


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each
    for each in (
        config, flag, score_file, run_folder, arrays, manifest, loop, chunk, env_state, golden,
        golden_meta, pickled,
    )
}  # fmt: skip


def examples(name: str) -> list[bytes]:
    """Returns good inputs of a target."""
    run = _run()
    newest = next(run.glob("checkpoints/*/manifest.json"))
    ours = configs.dump(configs.make(["debug"])).encode()
    score = {"steps": [1, 2], "score": {"pong": [[1.0, 2.0], [3.0, 4.0]]}}
    upstream = [{"task": "atari_pong", "method": "a", "seed": "0", "xs": [1, 2], "ys": [3.0, 4.0]}]
    meta = bundle.read_npz(min(GOLDEN.glob("*.npz"), key=lambda path: path.stat().st_size))["meta"]
    lines = (run / "episodes.jsonl").read_bytes()
    found: dict[str, list[bytes]] = {
        "config": [b"format: 1\n" + ours],
        "flag": [b"{a: {image: 1.0}, b: {dyn: alpha}}", b"1e-3", b"[a, b]", b"a,b"],
        "score_file": [
            b"\0" + json.dumps(score).encode(),
            b"\0" + json.dumps(upstream).encode(),
            b"\1game,score,seed,frame,mode,episodes,method\npong,1.5,0,400000,eval,2,a\n",
            b"\2\x1f\x8b",
        ],
        "run_folder": [
            b"task: atari_pong\nseed: 0\nmethod: a\n" + b"#" * pad + b"\0" + record
            for pad in range(3)
            for record in (lines, b'{"step": 4, "episode/score": 1.0}\n')
        ],
        "arrays": [encode({"w": np.ones((2, 3), np.float32), "n": np.array(3)})],
        "manifest": [json.loads(newest.read_bytes())["body"].encode()],
        "loop": [newest.with_name("loop.safetensors").read_bytes()],
        "chunk": [next((run / "replay").iterdir()).read_bytes()],
        "golden_meta": [str(meta[()]).encode()],
        "pickled": [_pickle(protocol) for protocol in (2, 4)],
    }
    if name == "env_state":
        return [bytes([n]) + (_env(env).save() or b"") for n, env in enumerate(ENVS)]
    if name == "golden":
        with io.BytesIO() as file:
            parts = {f"{part}/x": np.zeros(2, np.float32) for part in bundle.PARTS}
            np.savez(file, meta=meta, **parts)  # type: ignore[arg-type]
            return [file.getvalue()]
    return found[name]


def _folder() -> Path:
    return Path(_scratch.name)


def _write(name: str, data: bytes) -> Path:
    path = _folder() / name
    path.write_bytes(data)
    return path


@functools.cache
def _defaults() -> dict[str, Any]:
    return configs.defaults(configs.blocks())


@functools.cache
def _env(task: str) -> Any:
    env = embodied.envs.make(task, 0, {"image": False} if task.startswith("dmc") else {})
    _play(env)
    return env


def _play(env: Any) -> None:
    space, rng = env.act_space["action"], np.random.default_rng(0)
    for _ in range(3):
        env.step(space.sample(rng))


@functools.cache
def _run() -> Path:
    """A small finished run with one checkpoint."""
    folder = _folder() / "original"
    with contextlib.redirect_stdout(io.StringIO()):
        small.train(folder, steps=20, save_every=20, eval_every=0, report_every=0)
    for old in sorted(folder.glob("checkpoints/*"))[:-1]:
        shutil.rmtree(old)
    return folder


def _continue(what: str, data: bytes) -> None:
    """Continues a copy of the run in which one file is replaced and all checksums are right."""
    original, copy = _run(), _folder() / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(original, copy)
    path = next(copy.glob("checkpoints/*/manifest.json"))
    outer = json.loads(path.read_bytes())
    if what == "manifest":
        text = data.decode(errors="surrogateescape")
        outer["body"] = text
        checked = f"{outer['version']}\n{text}".encode(errors="surrogatepass")
        outer["sha256"] = hashlib.sha256(checked).hexdigest()
        path.write_text(json.dumps(outer))
    else:
        body = json.loads(outer["body"])
        file = next((copy / "replay").iterdir()) if what == "chunk" else path.with_name(what)
        file.write_bytes(data)
        facts = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        body["files"][str(file.relative_to(copy))] = facts
        path.write_bytes(seal(body))
    run = small.RunConfig(**{**small.SMALL, "steps": 40})
    make = small.make_env
    state = RunState(Setup(small.make_learner(), make, make, [copy], copy, [3], run, 2, 4))
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state.start()
    finally:
        state.close()


def _pickle(protocol: int) -> bytes:
    import pickle

    agent = {"agent/wm/w": np.ones((2, 3), np.float32), "agent/model_opt/step": np.array(3)}
    return pickle.dumps({"agent": agent, "step": 3}, protocol)
