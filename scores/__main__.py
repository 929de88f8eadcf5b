"""`python -m scores VERB ...`: the verbs without the agent."""

from __future__ import annotations

import sys

from embodied.core.errors import UserError
from embodied.core.verb import Parser, parse
from scores.verbs import VERBS


def main(argv: list[str] | None = None) -> int:
    """Runs one verb; returns the exit status."""
    try:
        args = parse(Parser(prog="python -m scores", description=__doc__), VERBS, argv)
        return int(args.run(args))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
