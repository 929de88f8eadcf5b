"""The arguments of the verbs."""

import argparse

import pytest

from scores import arguments, compare, export, grid, protocol, significance, stats
from scores.figures import BANDS
from scores.names import data
from scores.verbs import VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_every_argument_says_what_it_is(verb):
    parser = argparse.ArgumentParser()
    arguments.fill(parser, verb)
    assert arguments.summary(verb)
    for action in parser._actions:
        assert action.help or action.choices, action.dest
    text = parser.format_help()
    assert "{source}" not in text
    assert "{protocols}" not in text


def test_choices_and_defaults_are_those_of_the_code():
    common, verbs = data("arguments")["common"], data("arguments")["verbs"]
    formats = [*grid.RENDERERS, "csv", "json"]
    assert list(verbs) == list(VERBS)
    assert common["--protocol"]["choices"] == list(protocol.PROTOCOLS)
    assert common["--format"]["choices"] == formats
    assert set(common["--band"]["choices"]) == set(BANDS)
    table, diff = verbs["table"]["arguments"], verbs["diff"]["arguments"]
    assert table["--format"]["choices"] == formats + list(export.FORMATS)
    assert table["--resamples"]["default"] == stats.RESAMPLES
    assert diff["--resamples"]["default"] == compare.RESAMPLES
    assert diff["--test"]["choices"] == list(significance.TESTS)


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("4e5", 400_000), ("2.0", 2)])
def test_counts(text, value):
    assert arguments.count(text) == value


@pytest.mark.parametrize("text", ["0", "-4", "x", "nan", "inf", "0.5", ""])
def test_what_is_no_count(text):
    with pytest.raises(argparse.ArgumentTypeError, match="whole number of at least 1"):
        arguments.count(text)
