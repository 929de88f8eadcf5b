"""The arguments of the verbs."""

import argparse

import pytest

from scores import arguments


@pytest.mark.parametrize("verb", arguments.VERBS)
def test_every_argument_says_what_it_is(verb):
    parser = arguments.add_parser(argparse.ArgumentParser().add_subparsers(), verb)
    for action in parser._actions:
        assert action.help or action.choices, action.dest
    assert parser.format_help()


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("4e5", 400_000), ("2.0", 2)])
def test_counts(text, value):
    assert arguments.count(text) == value


@pytest.mark.parametrize("text", ["0", "-4", "x", "nan", "inf", "0.5", ""])
def test_what_is_no_count(text):
    with pytest.raises(argparse.ArgumentTypeError, match="whole number of at least 1"):
        arguments.count(text)
