"""What is told below a table."""

from scores import load, notes, protocol


def lines(*sources, flags=(), rated=True):
    groups, _ = load.load([str(source) for source in sources])
    return notes.notes(protocol.columns(groups), set(flags), rated)


def test_each_protocol_and_each_flag_once(write_harmony, write_upstream):
    a = write_harmony("a.json", {"pong": [1, 2]})
    b = write_upstream("b.json.gz", [("atari_pong", "m", 0, [399_001], [3])])
    told = lines(a, a, b, flags=["few-seeds"])
    assert [line.split(":")[0] for line in told[:3]] == [
        "final-eval", "train-window", "MIXED PROTOCOLS",
    ]  # fmt: skip
    assert sum(line.startswith("‡") for line in told) == 1
    assert not any(line.startswith("†") for line in told)


def test_rounding_of_the_one_column_whose_print_is_not_that_of_its_cells():
    told = [line for line in lines("paper:all") if "its paper prints" in line]
    assert len(told) == 1
    assert told[0].startswith("paper:harmony: its paper prints a mean of 136.5%; its cells, ")
    assert told[0].endswith("give 136.8%. Rounding weighs most where human and random are few "
                            "points apart: Boxing 12, Breakout 28, Freeway 30.")  # fmt: skip


def test_a_table_without_human_scores_does_not_mention_them(write_run):
    told = lines(write_run("a", "catch", evals={4: [1]}), rated=False)
    assert not any("uman" in line for line in told)


def test_the_source_of_released_scores(write_run):
    assert any("weipu-zhang/STORM" in line for line in lines("paper:storm"))
