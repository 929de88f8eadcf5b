"""The verbs, end to end, and their exit statuses."""

import csv
import gzip
import io
import json
import subprocess
import sys

import pytest

from scores.__main__ import main


def around(center):
    return [center + step for step in (-2, -1, 0, 1, 2)]


@pytest.fixture
def pair(write_harmony):
    low = write_harmony("low.json", {"pong": around(-10), "hero": around(500)})
    high = write_harmony("high.json", {"pong": around(10), "hero": around(800)})
    return str(low), str(high)


def test_table_formats(pair, capsys):
    for kind, start in (("text", "Atari 100K"), ("md", "**Atari 100K**"), ("latex", "% Atari")):
        assert main(["table", *pair, "paper:all", "--format", kind]) == 0
        assert capsys.readouterr().out.startswith(start)
    assert main(["table", *pair, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 2 * 30
    assert main(["table", *pair, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["entries"]) == 2 * 30
    assert "24 of 26 games missing" in found["problems"][0]


def test_table_without_sources_is_table_2(capsys):
    assert main(["table", "--no-intervals"]) == 0
    out = capsys.readouterr().out
    assert "136.5%" in out
    assert "13043*" in out


def test_no_intervals_keeps_those_of_aggregates(pair, capsys):
    main(["table", pair[0], "--no-intervals"])
    rows = {line.split("  ")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "[" not in rows["Pong"]
    assert "[" in rows["IQM"]


def test_strict_fails_on_a_fault_and_prints_the_rest(pair, tmp_path, capsys):
    bad = tmp_path / "bad.json.gz"
    bad.write_bytes(b"not gzip")
    only = ["--games", "pong", "hero"]
    assert main(["table", *pair, *only, "--strict"]) == 0
    capsys.readouterr()
    assert main(["table", *pair, str(bad), *only]) == 0
    shown = capsys.readouterr()
    assert f"warning: {bad}: not a gzip file though its name ends in .gz" in shown.err
    assert "Pong" in shown.out
    assert main(["table", *pair, str(bad), *only, "--strict"]) == 1
    assert "Pong" in capsys.readouterr().out


def test_diff_and_its_exit_status(pair, capsys):
    low, high = pair
    assert main(["diff", low, high, "--fail-if-worse"]) == 0
    assert "overall better; games: 2 better" in capsys.readouterr().out
    assert main(["diff", high, low]) == 0
    assert main(["diff", high, low, "--fail-if-worse"]) == 1
    assert main(["diff", low, low, "--fail-if-worse"]) == 0
    capsys.readouterr()
    assert main(["diff", low, high, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["a"], found["b"], found["verdict"], found["worse"]) == (
        "low", "high", "better", False,
    )  # fmt: skip
    for kind in ("md", "latex", "csv"):
        assert main(["diff", low, high, "--format", kind, "--test", "permutation"]) == 0
        assert capsys.readouterr().out


def test_diff_of_run_folders_shows_config_differences(write_run, capsys, tmp_path):
    for method, lr in (("a", 1), ("b", 2)):
        write_run(method, method=method, evals={400_000: [lr]}, config=f"opt:\n  lr: {lr}\n")
    args = ["diff", str(tmp_path / "a"), str(tmp_path / "b")]
    assert main(args) == 0
    assert "opt.lr  1  2" in capsys.readouterr().out
    assert main([*args, "--format", "json"]) == 0
    assert {"key": "opt.lr", "a": "1", "b": "2"} in json.loads(capsys.readouterr().out)["config"]


def test_files_written(pair, tmp_path, write_run):
    for kind in ("curves", "bars", "profiles", "efficiency"):
        out = tmp_path / f"{kind}.png"
        assert main(["plot", *pair, "--kind", kind, "--out", str(out), "--band", "ci"]) == 0
        assert out.read_bytes().startswith(b"\x89PNG")
    assert main(["diff", *pair, "--forest", str(tmp_path / "forest.svg")]) == 0
    assert b"<svg" in (tmp_path / "forest.svg").read_bytes()
    assert main(["report", str(tmp_path / "page.html"), *pair]) == 0
    assert "</html>" in (tmp_path / "page.html").read_text()
    assert main(["table", pair[0], "--format", "md", "--out", str(tmp_path / "t.md")]) == 0
    assert (tmp_path / "t.md").read_text().startswith("**Atari")
    run = str(write_run("run", trains=[(400, 3)]))
    out = str(tmp_path / "scores.json.gz")
    assert main(["table", run, "--format", "upstream", "--out", out]) == 0
    with gzip.open(out) as file:
        assert json.load(file)[0]["ys"] == [3]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["table", "absent"], "no such source: 'absent'"),
        (["table", "paper:harmny"], "did you mean 'harmony'"),
        (["table", "paper:all", "--games", "pongg"], "did you mean 'pong'"),
        (["plot", "paper:all", "--kind", "curve"], "did you mean 'curves'"),
        (["plot", "paper:all", "--out", "x.jpg"], "ends in .png"),
        (["report", "paper:all", "paper:iris"], "the page to write, OUT.html"),
        (["table", "paper:all", "--out", "/no/where"], "cannot write"),
    ],
)
def test_user_errors_exit_with_2(args, message, capsys):
    assert main(args) == 2
    assert message in capsys.readouterr().err


def test_counts_are_checked(capsys):
    assert main(["table", "paper:all", "--frames", "-4"]) == 2
    assert "whole number of at least 1" in capsys.readouterr().err
    assert main(["table", "paper:all", "--frames", "4e5"]) == 0


def test_warnings_alike_are_joined(write_run, capsys, tmp_path):
    for seed in range(3):
        folder = write_run(f"{seed}", seed=seed, evals={4: [1]})
        with open(folder / "episodes.jsonl", "a") as file:
            file.write("torn")
    main(["table", str(tmp_path)])
    assert (
        "line 2 is not a JSON object (cut short?) (and 2 more files alike)"
        in capsys.readouterr().err
    )


def test_works_without_jax_matplotlib_and_scipy():
    code = (
        "import sys\n"
        "for name in ('jax', 'flax', 'harmony_dreamerv3', 'matplotlib', 'scipy', 'ruamel'):\n"
        "    sys.modules[name] = None\n"
        "from scores.__main__ import main\n"
        "sys.exit(main(['table', 'paper:all']))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "136.5%" in ran.stdout


EVIL = """game,score,frame,seed,mode
catch,nan,4,0,eval
walk,1e308,1e308,0,eval
walk,1e14,400,1,eval
walk,-1e14,400,2,eval
start,3,0,0,eval
neg,3,-5,0,eval
pong,1e14,400000,0,eval
pong,1e14,400000,1,eval
hero,5,0,0,train
"""


@pytest.mark.parametrize("verb", ["table", "plot", "report", "diff"])
def test_absurd_values_break_nothing(tmp_path, verb, capsys):
    path = tmp_path / "evil.csv"
    path.write_text(EVIL)
    out = str(tmp_path / "out.html")
    figure = str(tmp_path / "out.png")
    args = {
        "table": [],
        "plot": ["--out", figure],
        "report": [out],
        "diff": [str(path), "--forest", figure],
    }[verb]
    assert main([verb, *args, str(path)]) == 0
    assert "walk seed 0: 1 of 1 points are NaN, missing or absurd" in capsys.readouterr().err
