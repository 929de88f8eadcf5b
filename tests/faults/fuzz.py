"""Feeds readers of untrusted files with mutated ones, guided by what code they reach.

    pip install atheris
    python tests/faults/fuzz.py score_file --minutes 5

A fault is anything but UserError, more than 2 GB of memory, or 20 seconds for one input. The input
goes to the present folder; kept in `tests/faults/inputs/<target>/`, `test_fuzzed.py` tries it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]

with atheris.instrument_imports(
    include=[
        "embodied",
        "scores",
        "ruamel.yaml",
        "harmony_dreamerv3.config",
        "harmony_dreamerv3.interop",
    ]
):
    import targets

from embodied.core.errors import UserError  # noqa: E402

WORDS = ('"$"', '"v"', '"tuple"', '"dict"', '"array"', "NaN", "1e999", "-1", "&a", "*a", "<<:",
         "!!python/object", "null", "true", "[[", "{}", "../", "\\x00")  # fmt: skip


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=list(targets.TARGETS))
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    reader = targets.TARGETS[args.target]
    warnings.simplefilter("ignore")

    def once(data: bytes) -> None:
        try:
            reader(data)
        except UserError:
            return

    with tempfile.TemporaryDirectory() as corpus:
        kept = sorted((HERE / "inputs" / args.target).glob("*"))
        for number, data in enumerate(
            [*targets.examples(args.target), *(path.read_bytes() for path in kept)]
        ):
            Path(corpus, f"{number:04d}").write_bytes(data)
        words = Path(corpus, "../", Path(corpus).name + ".dict").resolve()
        quoted = (word.replace('"', '\\"') for word in WORDS)
        words.write_text("".join(f'"{word}"\n' for word in quoted))
        options = [f"-max_total_time={round(60 * args.minutes)}", f"-seed={args.seed}",
                   "-rss_limit_mb=2048", "-timeout=20", "-max_len=16384", "-print_final_stats=1",
                   "-close_fd_mask=1", f"-dict={words}"]  # fmt: skip
        atheris.Setup([sys.argv[0], *options, corpus], once)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
