"""A table of verbs becomes a command line."""

import pytest

from embodied.core.errors import UserError
from embodied.core.verb import Parser, Verb, parse


def add(parser):
    parser.add_argument("--seeds", nargs="+")


VERBS = {
    "count": Verb("counts", add, lambda args: len(args.seeds)),
    "keep": Verb("keeps", add, lambda args: len(args.flags), takes_flags=True),
}


def of(*argv):
    return parse(Parser(prog="it"), VERBS, argv)


def test_a_verb_gets_its_arguments():
    args = of("count", "--seeds", "1", "2")
    assert args.run(args) == 2 and args.flags == []
    args = of("keep", "--seed", "3", "--run.steps", "9")
    assert args.seeds is None  # No short forms.
    assert args.flags == ["--seed", "3", "--run.steps", "9"] and args.run(args) == 4


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("conut",), "invalid choice: 'conut'.*see it --help"),
        ((), "required: VERB"),
        (("count", "--seed", "3"), "count: unknown argument '--seed'; see --help"),
        (("count", "--seeds"), "expected at least one argument; see it count --help"),
    ],
)
def test_mistakes(argv, message):
    with pytest.raises(UserError, match=message):
        of(*argv)
