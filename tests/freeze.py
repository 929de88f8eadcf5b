"""Records what must not move, by the command line alone, so that it runs on any checkout.

    python tests/freeze.py record OUT.json [--tree DIR] [--resume OLD.json]
    python tests/freeze.py compare OLD.json NEW.json

`record` trains debug runs (discrete and continuous actions, two learners, killed and continued),
compares with all bundles, and runs every verb's help, forty wrong commands, tables, comparisons and
pages with the checkout in DIR. Arrays are hashed into OUT.json and kept in the folder `OUT.files`,
with a run that was killed halfway: `--resume` continues the one that another checkout has left.
`compare` explains every difference and exits with 1 when there is one: arrays are the same bitwise,
or their largest relative difference is printed.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parents[1]
VERBS = (
    *("train", "eval", "doctor", "sweep", "table", "diff", "plot", "place", "report", "analyze"),
    *("parity", "import", "export"),
)
DEBUG = "train --configs debug --jax.platform cpu --run.save_every 50 --run.steps 200"
BUNDLES = (
    *("atari_baseline", "atari_harmony", "atari_harmony_alive", "dmc_vision_harmony"),
    "mixed_obs_baseline",
)
RUNS = {
    "discrete": "",
    "continuous": "--task dummy_cont --harmony True",
    "population": "--harmony True --seeds 0 1 --run.steps 120",
}
SHOW = (  # Run folders are those of RUNS.
    "table paper:all",
    "table paper:all --format csv",
    "table discrete continuous both=population --strict",
    "table population --format harmonydream --out scores.json",
    "table scores.json discrete --format json",
    "diff paper:dreamerv3 paper:harmony",
    "diff discrete population --test permutation",
    "diff discrete killed --format json",
    "place discrete --among population",
    "report page.html discrete population paper:harmony",
    "doctor --configs debug",
    "doctor --configs atari100k --harmony True",
    "doctor --configs dmc_vision wr10",
    "sweep --dry-run --logdir swept --configs atari100k --tasks atari100k --seeds 0 1 "
    "--methods harmony wd1",
)
TRAIN = "train --configs debug --logdir wrong --jax.cache False "
WRONG = (
    *("", "trian", "table --strct", "--versio", "table nothing.json", "table paper:non"),
    *("diff", "diff paper:dreamerv3", "diff paper:dreamerv3 nothing", "report page.txt paper:all"),
    *("plot --kind pie paper:all", "place discrete", "eval nothing", "eval golden"),
    *("export nothing out.npz", "import nothing --logdir new", "parity nothing.npz", "analyze"),
    *("analyze nothing --out new", "sweep", "sweep --logdir nothing", "sweep --status nothing"),
    *("train --configs atari10k --logdir wrong", "doctor --configs debug --rssm.detr 3"),
    *("train stray", "train --configs debug --logdir crowded --run.envs 65536"),
    *("table paper:all --games pnog", "table paper:all --format pdf", "table --frames many"),
    *(
        TRAIN + flags
        for flags in (
            *("--batch_sise 4", "--task atari_pnog", "--task nosuite_x", "--seed x", "--seed"),
            *("--run.steps 1.5", "--harmony maybe", "--seeds 0 0", "--seeds 0 --seed 1"),
            *("--jax.platform gpus", "--jax.precision float16", "--balance.method harmonie"),
            *("--harmony True --loss_scales.reward 10", "--balance.weights.rewards 10"),
            *("--encoder.cnn_keys $^ --encoder.mlp_keys $^", "--encoder.cnn_keys ["),
            *("--rssm.deter -1", "--rssm.unimix 2", "--horizon 0", "--grad_heads rewrd"),
            *("--retnorm.perchi 1", "--free_nats nan", "--seed 4294967296"),
            *("--balance.options.x 1", "--balance.tasks {a:", "--env.dummy.size 0"),
        )
    ),
)
# Runs many command lines in one process, for each: exit status, both outputs.
TALK = """
import contextlib, io, json, runpy, sys
for line in json.load(sys.stdin):
    out, err, status = io.StringIO(), io.StringIO(), 0
    sys.argv = ["harmony-dreamerv3", *line.split()]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_module("harmony_dreamerv3", run_name="__main__")
        except SystemExit as end:
            status = end.code
    print(json.dumps([status, out.getvalue(), err.getvalue()]), flush=True)
"""
FAST = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
THREADS = "--xla_cpu_multi_thread_eigen=false"
# What a clock decides.
CLOCK = re.compile(r"-?[\d.]+ (?:steps|updates)/s|ETA [\d:]+|[\d.]+ s\b")


class Checkout:
    """Runs the command line of one checkout in a folder of its own.

    Args:
      tree: the checkout.
      folder: an empty folder; the bundles are linked there.
    """

    def __init__(self, tree: Path, folder: Path) -> None:
        self.tree, self.folder = tree.resolve(), folder
        (folder / "golden").symlink_to(ROOT / "tests/golden")
        self.env = {
            **os.environ,
            "PYTHONPATH": str(self.tree),
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"{FAST} {THREADS}",
            "JAX_DEFAULT_MATMUL_PRECISION": "highest",
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "100",
        }

    def start(self, code: list[str], given: int | None = None) -> subprocess.Popen[str]:
        """Starts Python with the checkout's packages and no other's; its output is piped."""
        return subprocess.Popen(
            [sys.executable, "-P", *code],
            cwd=self.folder,
            env=self.env,
            text=True,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def train(self, flags: str, logdir: Path) -> str:
        """Trains; returns what it printed."""
        code = ["-m", "harmony_dreamerv3", *f"{DEBUG} {flags} --logdir {logdir}".split()]
        process = self.start(code)
        out = process.communicate()[0]
        if process.returncode:
            raise SystemExit(f"{flags or 'discrete'} ended with {process.returncode}:\n{out}")
        return self.plain(out)

    def train_until(self, step: int, logdir: Path) -> None:
        """Trains until the checkpoint of this step is there, then kills the process."""
        code = ["-m", "harmony_dreamerv3", *f"{DEBUG} --logdir {logdir}".split()]
        process = self.start(code)
        manifest = logdir / f"checkpoints/{step:012d}/manifest.json"
        while process.poll() is None and not manifest.exists():
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        if process.wait() != -signal.SIGKILL:
            raise SystemExit(f"the run to be killed at step {step} ended by itself")

    def talk(self, lines: list[str]) -> dict[str, str]:
        """Runs command lines one after the other in one process."""
        process = self.start(["-c", TALK], subprocess.PIPE)
        out = process.communicate(json.dumps(lines))[0]
        replies = [json.loads(line) for line in out.splitlines() if line.startswith("[")]
        if len(replies) != len(lines):
            raise SystemExit(f"{lines[len(replies)]!r} ended the process:\n{out[-2000:]}")
        texts = [f"status {status}\n{out}\n{err}" for status, out, err in replies]
        return {line: self.plain(text) for line, text in zip(lines, texts)}

    def plain(self, text: str) -> str:
        """Removes what differs between two runs of the same code: folders and clocks."""
        for path, name in ((self.folder, "HERE"), (self.tree, "TREE"), (ROOT, "TREE")):
            text = text.replace(str(path), name)
        return CLOCK.sub("CLOCK", text)


def arrays_of(run: Path) -> Iterator[tuple[str, Path]]:
    """Yields the saved arrays of a run's newest checkpoints, of all its members."""
    for manifest in sorted(run.rglob("checkpoints/*/manifest.json")):
        checkpoint = manifest.parent
        if checkpoint == max(checkpoint.parent.iterdir()):
            for path in sorted(checkpoint.glob("*.safetensors")):
                yield str(path.relative_to(run)), path


def records_of(run: Path) -> dict[str, Any]:
    """Returns the lines of the records of a run, of all its members."""
    names = ("metrics.jsonl", "episodes.jsonl")
    paths = [path for path in sorted(run.rglob("*.jsonl")) if path.name in names]
    return {
        str(path.relative_to(run)): [json.loads(line) for line in path.read_text().splitlines()]
        for path in paths
        if "checkpoints" not in path.parts
    }


def fingerprint(run: Path, keep: Path) -> dict[str, Any]:
    """Returns what a run has left, and copies its arrays into the folder `keep`."""
    hashes: dict[str, Any] = {}
    for name, path in arrays_of(run):
        target = keep / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        hashes[name] = {
            key: hashlib.sha256(
                f"{array.dtype}{array.shape}".encode() + array.tobytes()
            ).hexdigest()
            for key, array in sorted(load_file(path).items())
        }
    configs = {
        str(path.relative_to(run)): re.sub(r"logdir: .*", "", path.read_text())
        for path in sorted(run.rglob("config.yaml"))
    }
    files = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    return {
        "arrays": hashes,
        "records": records_of(run),
        "configs": configs,
        "files": sorted({re.sub(r"tfevents.*", "tfevents", name) for name in files}),
    }


def record(out: Path, tree: Path, resume: Path | None) -> None:
    """Runs everything with the checkout `tree` and writes `out` and its folder of files."""
    files = out.with_suffix(".files")
    shutil.rmtree(files, ignore_errors=True)
    head = ["git", "-C", str(tree), "log", "-1", "--format=%h %s"]
    commit = subprocess.run(head, capture_output=True, text=True).stdout.strip()
    result: dict[str, Any] = {"commit": commit, "runs": {}, "printed": {}}
    with tempfile.TemporaryDirectory() as name:
        checkout = Checkout(tree, Path(name).resolve())
        folder = checkout.folder

        def run(title: str, flags: str = "") -> None:
            """Trains in the folder of this title, or goes on, and keeps what it leaves."""
            result["printed"][title] = checkout.train(flags, folder / title)
            result["runs"][title] = fingerprint(folder / title, files / title)

        for title, flags in RUNS.items():
            run(title, flags)
        checkout.train_until(100, folder / "killed")
        shutil.copytree(folder / "killed", files / "to-resume")
        run("killed")
        if resume:
            shutil.copytree(resume.with_suffix(".files") / "to-resume", folder / "foreign")
            run("foreign")
        lines = [f"parity golden/{name}.npz --json" for name in BUNDLES]
        lines += [f"{verb} --help" for verb in ("", *VERBS)] + [*SHOW, *WRONG]
        result["verbs"] = checkout.talk(lines)
        page = checkout.plain((folder / "page.html").read_text())
        result["page"] = re.sub(r"base64,[^\"]*", "base64", page).splitlines()
    for title in ("killed", "foreign") if resume else ("killed",):
        before, after = result["runs"]["discrete"], result["runs"][title]
        differences = run_differences(before, after, files / "discrete", files / title)
        print(f"{title} run against the undisturbed one:", *differences or ["the same"], sep="\n  ")
    out.write_text(json.dumps(result, indent=1, sort_keys=True))


def text_difference(old: Any, new: Any) -> str:
    """Returns the lines that changed between two values."""
    before, after = (
        value if isinstance(value, list) else str(value).splitlines() for value in (old, new)
    )
    changed = list(difflib.unified_diff(before, after, lineterm="", n=0))[2:]
    more = f"\n    and {len(changed) - 30} lines more" if len(changed) > 30 else ""
    return "".join(f"\n    {line[:300]}" for line in changed[:30]) + more


def largest(old: np.ndarray, new: np.ndarray) -> float:
    """Returns the largest difference relative to the largest magnitude of an array."""
    if old.shape != new.shape or old.dtype != new.dtype:
        return float("inf")
    if not old.size or old.tobytes() == new.tobytes():
        return 0.0
    a, b = old.astype(np.float64), new.astype(np.float64)
    return float(np.nanmax(np.abs(a - b)) / max(np.nanmax(np.abs(a)), 1e-300))


def array_difference(old: dict[str, str], new: dict[str, str], before: Path, after: Path) -> str:
    """Says how two files of arrays differ, given the hashes and the files."""
    names = [name for name in old if name in new and old[name] != new[name]]
    parts = [f"gone: {sorted(old.keys() - new.keys())}"] if old.keys() - new.keys() else []
    parts += [f"new: {sorted(new.keys() - old.keys())}"] if new.keys() - old.keys() else []
    if names:
        a, b = load_file(before), load_file(after)
        size, name = max((largest(a[name], b[name]), name) for name in names)
        parts.append(f"{len(names)} of {len(old)} differ, most {name} by {size:.1e} of its largest")
    return "; ".join(parts)


def record_difference(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> str:
    """Says how the lines of two records differ."""
    if len(old) != len(new):
        return f"{len(old)} lines became {len(new)}"
    worst, count = (0.0, ""), 0
    for index, (before, after) in enumerate(zip(old, new)):
        if before.keys() != after.keys():
            return f"line {index + 1}: keys {sorted(before.keys() ^ after.keys())} in one only"
        for key, a in before.items():
            b = after[key]
            count += a != b
            if a != b and not (isinstance(a, float) and isinstance(b, float)):
                return f"line {index + 1}: {key} {a!r} became {b!r}"
            if a != b:
                size = abs(a - b) / max(abs(a), abs(b))
                worst = max(worst, (size, f"line {index + 1}, {key}: {a!r} became {b!r}"))
    return f"{count} numbers differ, most by {worst[0]:.1e} ({worst[1]})"


def run_differences(
    old: dict[str, Any], new: dict[str, Any], before: Path, after: Path
) -> list[str]:
    """Says how what two runs have left differs, given the folders of their arrays."""
    lines = []
    for part in old:
        if isinstance(old[part], list):
            if old[part] != new[part]:
                lines.append(f"{part}:{text_difference(old[part], new[part])}")
            continue
        for name in sorted(old[part].keys() | new[part].keys()):
            a, b = old[part].get(name), new[part].get(name)
            if a == b:
                continue
            if a is None or b is None:
                lines.append(f"{name} is {'new' if a is None else 'gone'}")
            elif part == "arrays":
                lines.append(f"{name}: {array_difference(a, b, before / name, after / name)}")
            elif part == "records":
                lines.append(f"{name}: {record_difference(a, b)}")
            else:
                lines.append(f"{name}:{text_difference(a, b)}")
    return lines


def compare(old_path: Path, new_path: Path) -> int:
    """Prints every difference of two recordings; returns 1 when there is one."""
    old, new = (json.loads(path.read_text()) for path in (old_path, new_path))
    print(f"{old['commit']}\n{new['commit']}\n")
    lines = []
    for title in old["runs"].keys() & new["runs"].keys():
        folders = [path.with_suffix(".files") / title for path in (old_path, new_path)]
        differences = run_differences(old["runs"][title], new["runs"][title], *folders)
        lines += [f"{title}: {line}" for line in differences]
    for part in ("printed", "verbs"):
        for name, value in old[part].items():
            other = new[part].get(name)
            if other is not None and value != other:
                lines.append(f"{name!r}:{text_difference(value, other)}")
    if old["page"] != new["page"]:
        lines.append(f"report page:{text_difference(old['page'], new['page'])}")
    print("\n".join(lines) or "the same")
    return int(bool(lines))


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("record", help="run everything and write OUT.json")
    verb.add_argument("out", type=Path)
    verb.add_argument("--tree", type=Path, default=ROOT, help="checkout to run (this one)")
    verb.add_argument("--resume", type=Path, help="recording whose killed run to continue")
    verb = verbs.add_parser("compare", help="explain what differs; exit with 1 if anything does")
    verb.add_argument("old", type=Path)
    verb.add_argument("new", type=Path)
    args = parser.parse_args()
    if args.verb == "compare":
        return compare(args.old, args.new)
    record(args.out, args.tree, args.resume)
    return 0


if __name__ == "__main__":
    sys.exit(main())
